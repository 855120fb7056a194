import { harmless } from '../core/display.ts';

/**
 * What was typed and what came back in one session, for the reader of a failed run. Bounded: the
 * beginning and the end are kept. Credentials are never recorded: what is typed is named, and where
 * the device shows one, `maskingTranscript` has taken it out before it comes here. Configuration that
 * the device printed is recorded as it is: see `render`.
 */
export interface Transcript {
  /** `text` is what was typed; pass `«password»` or `«enable»` in place of a secret. */
  sent(text: string): void;
  /** Bytes of the device, one character per byte. */
  received(text: string): void;
  /** A remark of ours, such as `prompt seen` or `closed by the device`. */
  note(text: string): void;
  /** Whoever shows what was recorded takes this out once more: what stood between its characters may be gone by then. */
  hide?(secret: string): void;
}

/** A transcript that can be read. */
export interface KeptTranscript extends Transcript {
  /**
   * Lines for a person: `> ` was typed, `< ` came back, `# ` is a remark; control characters are
   * written out. `redact` is given each stretch of device text (one character per byte, exact, without
   * the marks before its lines) and returns what may be shown of it; `beginsMidLine`: what its first
   * line begins with stands before it, or was left out.
   */
  render(redact: (text: string, beginsMidLine: boolean) => string): string;
}

type Kind = 'sent' | 'received' | 'note';
interface Entry {
  readonly kind: Kind;
  text: string;
}

const marks = { sent: '> ', received: '< ', note: '# ' } as const;
/** The largest entry: small enough that dropping whole ones keeps the end close to its limit. */
const entryBytes = 4096;

/** Keeps the first and the last `limitBytes / 2` of a session. */
export function createTranscript({ limitBytes }: { readonly limitBytes: number }): KeptTranscript {
  const half = Math.floor(limitBytes / 2);
  const head: Entry[] = [];
  const tail: Entry[] = [];
  let headBytes = 0;
  let tailBytes = 0;
  let leftOutBytes = 0;
  const secrets: string[] = [];

  const append = (to: Entry[], kind: Kind, text: string): void => {
    const last = to.at(-1);
    // Remarks stay one a line; what was typed or came back in pieces is one text.
    if (last?.kind === kind && kind !== 'note' && last.text.length < entryBytes) last.text += text;
    else to.push({ kind, text });
  };
  const add = (kind: Kind, text: string): void => {
    const toHead = tail.length === 0 ? text.slice(0, half - headBytes) : '';
    if (toHead !== '') append(head, kind, toHead);
    headBytes += toHead.length;
    // Only the end of a large piece can be kept: the rest need not be copied.
    const rest = text.slice(toHead.length);
    const skipped = Math.max(0, rest.length - half);
    leftOutBytes += skipped;
    for (let from = skipped; from < rest.length; from += entryBytes) {
      const part = rest.slice(from, from + entryBytes);
      append(tail, kind, part);
      tailBytes += part.length;
    }
    for (let first = tail[0]; first !== undefined && tailBytes - first.text.length >= half; first = tail[0]) {
      tail.shift();
      tailBytes -= first.text.length;
      leftOutBytes += first.text.length;
    }
  };

  return {
    sent: (text) => add('sent', text),
    received: (text) => add('received', text),
    note: (text) => add('note', text),
    hide: (secret) => void secrets.push(secret),
    render(redact) {
      const gap: Entry = { kind: 'note', text: `${leftOutBytes} bytes are left out here` };
      const stretches: Entry[] = [];
      for (const { kind, text } of leftOutBytes === 0 ? [...head, ...tail] : [...head, gap, ...tail]) {
        const last = stretches.at(-1);
        if (last?.kind === kind && kind === 'received') last.text += text;
        else stretches.push({ kind, text });
      }
      let midLine = false;
      const lines = stretches.flatMap(({ kind, text }) => {
        const shown = kind === 'received' ? without(redact(text, midLine), secrets) : text;
        // A typed line ends the line of the prompt; a key that answers a pager may stand inside of one.
        if (kind === 'received') midLine = !/[\r\n]$/.test(text);
        else if (text === gap.text) midLine = true;
        else if (text.endsWith('\n')) midLine = false;
        return shown
          .replace(/\n$/, '')
          .split('\n')
          .map((line) => `${marks[kind]}${harmless(line)}`);
      });
      return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
    },
  };
}

/** A transcript from which the values of secrets are taken out, wherever the device shows them. */
export interface MaskingTranscript extends Transcript {
  /** From here on `secret` is never recorded. Shorter than four characters it is not told from other text. */
  hide(secret: string): void;
  /** Hands on what was held back: a piece may end in the middle of a secret. */
  flush(): void;
  /** `text` with every hidden secret replaced by `«masked»`. */
  mask(text: string): string;
}

const shortestSecret = 4;

/** Masks on the way into `transcript`, also where a secret arrives in several pieces. */
export function maskingTranscript(transcript: Transcript): MaskingTranscript {
  let secrets: string[] = [];
  let held = '';

  const mask = (text: string): string => without(text, secrets);
  const flush = (): void => {
    if (held !== '') transcript.received(mask(held));
    held = '';
  };
  return {
    hide(secret) {
      if (secret.length < shortestSecret || secrets.includes(secret)) return;
      // Longest first: one secret may be the beginning of another.
      secrets = [...secrets, secret].sort((a, b) => b.length - a.length);
      transcript.hide?.(secret);
    },
    flush,
    mask,
    sent(text) {
      flush();
      transcript.sent(mask(text));
    },
    note(text) {
      flush();
      transcript.note(mask(text));
    },
    received(text) {
      held += text;
      // Not byte by byte: looking for every secret costs more than the byte.
      if (held.length < entryBytes) return;
      const masked = mask(held);
      const from = Math.min(...secrets.map((secret) => beginningOf(secret, masked)), masked.length);
      held = masked.slice(from);
      if (from > 0) transcript.received(masked.slice(0, from));
    },
  };
}

function without(text: string, secrets: readonly string[]): string {
  return secrets.reduce((masked, secret) => masked.replaceAll(secret, '«masked»'), text);
}

/** Where in `text` a beginning of `secret` starts that reaches to the end of `text`; its length where none does. */
function beginningOf(secret: string, text: string): number {
  const first = secret[0] as string;
  let from = text.indexOf(first, Math.max(0, text.length - secret.length + 1));
  while (from !== -1) {
    if (secret.startsWith(text.slice(from))) return from;
    from = text.indexOf(first, from + 1);
  }
  return text.length;
}
