import type { Channel } from '../../src/transport/channel.ts';
import type { Connect } from '../../src/transport/collect.ts';

/** One direction of a session: what the device sent (`<`), or what was typed (`>`). */
export interface Piece {
  readonly direction: '<' | '>';
  /** One character per byte. */
  readonly text: string;
}

/**
 * Logs in as `connect` does and writes down what goes over every shell and every command, byte for byte. `nameOf` gives
 * the name of a secret that is typed, and null for everything else: its value never gets onto the tape.
 */
export function taped(connect: Connect, tape: Piece[], nameOf: (typed: string) => string | null): Connect {
  const note = (direction: Piece['direction'], text: string): void => {
    const last = tape.at(-1);
    if (last?.direction === direction) tape[tape.length - 1] = { direction, text: last.text + text };
    else tape.push({ direction, text });
  };
  const wrap = (channel: Channel): Channel => ({
    write(text) {
      const name = nameOf(text.replace(/\r?\n$/, ''));
      note('>', name === null ? text : `[${name}]\n`);
      channel.write(text);
    },
    onData: (listener) =>
      channel.onData((text, source) => {
        note('<', text);
        listener(text, source);
      }),
    onEnd: (listener) => channel.onEnd(listener),
    pause: () => channel.pause(),
    resume: () => channel.resume(),
    close: () => channel.close(),
  });
  return async (request) => {
    const connection = await connect(request);
    return {
      connectedAtMs: connection.connectedAtMs,
      ident: connection.ident,
      shell: async () => wrap(await connection.shell()),
      async exec(command) {
        note('>', `exec: ${command}\n`);
        return wrap(await connection.exec(command));
      },
      async sftp(path) {
        note('>', `sftp: ${path}\n`);
        return connection.sftp(path);
      },
      end: () => connection.end(),
    };
  };
}

/** The tape for a person: a line for each line that was sent, control characters written out. */
export function visible(tape: readonly Piece[]): string {
  const names: Readonly<Record<string, string>> = {
    '\r': '\\r',
    '\n': '\\n',
    '\t': '\\t',
    '\b': '\\b',
    '\\': '\\\\',
  };
  const shown = (text: string): string =>
    text.replace(
      /[\x00-\x1f\x7f-\xff\\]/g,
      (character) => names[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
    );
  return tape
    .flatMap(({ direction, text }) =>
      (text.match(/[^\n]*\n|[^\n]+$/g) ?? []).map((line) => `${direction} ${shown(line)}\n`),
    )
    .join('');
}
