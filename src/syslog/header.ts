/** `<165>`, and the colon that an ASA puts after it. */
const priority = /^<\d{1,3}>:?[ \t]*/;
/** RFC 5424: version and timestamp, which may be absent (`-`). */
const structured = /^1 (?:-|\d{4}-\d\d-\d\dT[\d:.]{5,20}(?:Z|[+-]\d\d:\d\d)?) /;
/** RFC 3339 alone. */
const iso = /^\d{4}-\d\d-\d\dT[\d:.]{5,20}(?:Z|[+-]\d\d:\d\d)?:?[ \t]+/;
/** RFC 3164, and its relatives with a year, a fraction or a mark of an unset clock in front. */
const classic = /^[*.]?[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?:?[ \t]*/;

/** A host name, an address, or one with the slot of a chassis in front (`slot1/bigip1`). */
const hostLike = /^(?:slot\d{1,2}\/)?([A-Za-z0-9](?:[\w.:-]{0,253}\w)?):?$/;

/**
 * Words of a message's header that may be the name or the address of its device, most likely first: the first
 * two after priority and timestamp, because a time zone may stand between them. No more than a guess: whoever
 * asks compares them with what is known.
 */
export function hostsOf(text: string): readonly string[] {
  // A header is short; what follows is never looked at.
  let rest = text.slice(0, 400).replace(priority, '');
  for (const stamp of [structured, iso, classic]) {
    const without = rest.replace(stamp, '');
    if (without === rest) continue;
    rest = without;
    break;
  }
  const hosts: string[] = [];
  for (const word of rest.split(/[ \t]+/, 2)) {
    const host = hostLike.exec(word)?.[1];
    // Here the message itself begins.
    if (host === undefined) break;
    hosts.push(host);
  }
  return hosts;
}
