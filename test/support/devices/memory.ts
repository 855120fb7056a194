import type { Clock } from '../../../src/core/clock.ts';
import { BackupError } from '../../../src/core/errors.ts';
import type { Channel, ChannelEnd, ChannelSource } from '../../../src/transport/channel.ts';
import type { Connect } from '../../../src/transport/collect.ts';
import type { RemoteFile } from '../../../src/transport/ssh-sftp.ts';
import type { Served } from './files.ts';
import type { After, Far, Persona, Session } from './persona.ts';

/** How the network hands over what a device sent. */
export interface Delivery {
  readonly name: string;
  /** The pieces of what is there at one moment. */
  readonly split: (text: string) => readonly string[];
  /** Milliseconds between one piece and the next. */
  readonly gapMs: () => number;
}

export const whole: Delivery = { name: 'whole', split: (text) => [text], gapMs: () => 0 };
export const byLine: Delivery = {
  name: 'by line',
  split: (text) => text.split(/(?<=\n)/),
  gapMs: () => 1,
};
export const byteByByte: Delivery = { name: 'byte by byte', split: (text) => [...text], gapMs: () => 1 };

/** Pieces of 1 to 400 bytes, 0 to 30 ms apart. The same seed gives the same pieces. */
export function randomPieces(seed: number): Delivery {
  let state = seed >>> 0;
  const next = (below: number): number => {
    // A linear congruential generator is random enough to cut text.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return {
    name: `random pieces, seed ${seed}`,
    split(text) {
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const size = 1 + next(next(2) === 0 ? 8 : 400);
        pieces.push(text.slice(at, at + size));
        at += size;
      }
      return pieces;
    },
    gapMs: () => next(31),
  };
}

/** The timers of a persona on a clock of the test. */
export function timersOf(clock: Clock): After {
  return (ms, then) => {
    const timer = clock.after(ms, then);
    return () => timer.cancel();
  };
}

/** Stands in for an SSH connection: the same channels, without a network and without a login. */
export function memoryConnect(persona: Persona, clock: Clock, delivery: Delivery): Connect {
  return () => {
    const terminal = { columns: 511, rows: 1000 };
    const channels: MemoryChannel[] = [];
    const open = (start: (far: Far) => Session): Promise<Channel> => {
      const channel = new MemoryChannel(clock, delivery, start);
      channels.push(channel);
      return Promise.resolve(channel);
    };
    return Promise.resolve({
      connectedAtMs: clock.monotonicMs(),
      ident: 'Memory_1.0',
      shell: () => open((far) => persona.shell(far, terminal)),
      exec: (line: string) => open((far) => persona.exec(line, far)),
      sftp: async (path: string) => {
        const refused = (reply: string) =>
          new BackupError('collect.command-refused', { command: `sftp ${path}`, reply });
        let file: Served | null;
        try {
          file = persona.file(path);
        } catch (thrown) {
          throw refused((thrown as Error).message);
        }
        if (file === null) throw refused('No such file');
        return memoryFile(file);
      },
      end: () => {
        for (const channel of channels) channel.close();
        return Promise.resolve();
      },
    });
  };
}

/** As ssh2 does: a read fails where the connection broke, and is never answered where nothing comes. */
function memoryFile({ sizeBytes, text, cutAt, silentAt }: Served): RemoteFile {
  return {
    sizeBytes,
    read: async (offset, length) => {
      const end = Math.min(offset + length, sizeBytes);
      if (cutAt !== null && end > cutAt) throw new Error('No response from server');
      if (silentAt !== null && end > silentAt) return new Promise(() => {});
      return Buffer.from(text.slice(offset, offset + length), 'latin1');
    },
    close: () => {},
  };
}

type Event = { readonly text: string; readonly source: ChannelSource } | { readonly end: ChannelEnd };

class MemoryChannel implements Channel {
  readonly #clock: Clock;
  readonly #delivery: Delivery;
  readonly #session: Session;
  #waiting: Event[] = [];
  #pieces: Event[] = [];
  #timer = false;
  #paused = false;
  #ended: ChannelEnd | null = null;
  #onData: ((latin1: string, source: ChannelSource) => void) | null = null;
  #onEnd: ((end: ChannelEnd) => void) | null = null;

  constructor(clock: Clock, delivery: Delivery, start: (far: Far) => Session) {
    this.#clock = clock;
    this.#delivery = delivery;
    const closed = { signal: null, error: null };
    this.#session = start({
      write: (text, source) => {
        this.#push({ text, source });
        return true;
      },
      end: (exitStatus) => this.#push({ end: { ...closed, exitStatus, connectionLost: false } }),
      cut: () => this.#push({ end: { ...closed, exitStatus: null, connectionLost: true } }),
    });
  }

  write(latin1: string): void {
    if (this.#ended === null) this.#session.type(latin1);
  }

  onData(listener: (latin1: string, source: ChannelSource) => void): void {
    this.#onData = listener;
    this.#arm();
  }

  onEnd(listener: (end: ChannelEnd) => void): void {
    this.#onEnd = listener;
    const ended = this.#ended;
    if (ended !== null) this.#clock.after(0, () => listener(ended));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#arm();
  }

  close(): void {
    if (this.#ended !== null) return;
    this.#waiting = [];
    this.#pieces = [];
    this.#session.hangUp();
    this.#finish({ exitStatus: null, signal: null, error: null, connectionLost: false });
  }

  #push(event: Event): void {
    if (this.#ended !== null) return;
    this.#waiting.push(event);
    this.#arm();
  }

  #arm(): void {
    if (this.#timer || this.#paused || this.#onData === null) return;
    if (this.#waiting.length === 0 && this.#pieces.length === 0) return;
    this.#timer = true;
    this.#clock.after(this.#delivery.gapMs(), () => {
      this.#timer = false;
      this.#deliver();
      this.#arm();
    });
  }

  #deliver(): void {
    if (this.#paused || this.#ended !== null) return;
    if (this.#pieces.length === 0) {
      this.#pieces = merged(this.#waiting).flatMap((event): readonly Event[] => {
        if ('end' in event) return [event];
        return this.#delivery.split(event.text).map((text) => ({ text, source: event.source }));
      });
      this.#waiting = [];
    }
    const event = this.#pieces.shift();
    if (event === undefined) return;
    if ('end' in event) this.#finish(event.end);
    else this.#onData?.(event.text, event.source);
  }

  #finish(end: ChannelEnd): void {
    this.#ended = end;
    this.#onEnd?.(end);
  }
}

/** What was sent in one go travels together. */
function merged(events: readonly Event[]): readonly Event[] {
  const all: Event[] = [];
  for (const event of events) {
    const last = all.at(-1);
    if (last !== undefined && 'text' in last && 'text' in event && last.source === event.source)
      all[all.length - 1] = { text: last.text + event.text, source: last.source };
    else all.push(event);
  }
  return all;
}
