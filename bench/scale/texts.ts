/** A configuration of an ASA without secrets, about `bytes` long, as git keeps it. `edit` changes a few lines of it. */
export function asaText(device: string, bytes: number, edit: number): string {
  const lines = [
    ': Saved',
    ':',
    'ASA Version 9.16(4)19',
    '!',
    `hostname ${device}`,
    `access-list edited extended permit ip host 198.51.100.${edit % 250} any`,
    `access-list edited remark ticket ${edit}`,
  ];
  let length = lines.reduce((sum, line) => sum + line.length + 1, 0);
  for (let index = 0; length < bytes; index++) {
    const line = ruleLine(device, index);
    lines.push(line);
    length += line.length + 1;
  }
  return `${lines.join('\n')}\n: end\n`;
}

/** Rules of two devices differ in what they name: as in a fleet, not as in copies of one file. */
function ruleLine(device: string, index: number): string {
  const seed = (hash(device) + Math.imul(index, 2_654_435_761)) >>> 0;
  const host = `10.${(seed >>> 8) % 256}.${(seed >>> 16) % 256}.${seed % 254}`;
  return `access-list outside_in extended permit tcp any object-group net-${seed % 4_093} host ${host} eq ${1_024 + (seed % 40_000)}`;
}

function hash(text: string): number {
  let sum = 0;
  for (const letter of text) sum = (Math.imul(sum, 31) + letter.charCodeAt(0)) >>> 0;
  return sum;
}
