import { harmless } from '../core/display.ts';
import { stringify } from './json.ts';
import type { Services } from './services.ts';
import { type Paint, painter } from './terminal/style.ts';
import type { World } from './world.ts';

/** Exit codes; a caller's scripts hold on to them. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** At least one device is not ok. */
  devices: 3,
  interrupted: 130,
} as const;

/** Options that every command has. */
export interface Common {
  readonly config?: string;
  readonly json?: boolean;
}

/** What one command runs with. */
export interface Context {
  readonly world: World;
  readonly services: Services;
  readonly json: boolean;
  /** Colours for standard output. */
  readonly paint: Paint;
  /** Columns of the terminal; null where standard output is none: then nothing is cut. */
  readonly width: number | null;
  /** Writes lines to standard output. Text from outside has to be harmless already. */
  print(...lines: readonly string[]): void;
  /** Writes remarks to standard error, so that they are never in the way of a pipe. */
  remark(...lines: readonly string[]): void;
  /** One JSON document on standard output. */
  document(value: unknown): void;
  /** One line of a stream of JSON on standard output. */
  record(value: unknown): void;
}

export function createContext(world: World, services: Services, json: boolean): Context {
  const isTTY = world.stdout.isTTY === true;
  const write = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
  return {
    world,
    services,
    json,
    paint: painter(isTTY, world.env),
    width: isTTY ? (world.stdout.columns ?? 80) : null,
    print: (...lines) => void world.stdout.write(write(lines)),
    remark: (...lines) => void world.stderr.write(write(lines.map(harmless))),
    document: (value) => void world.stdout.write(`${stringify(value, 2)}\n`),
    record: (value) => void world.stdout.write(`${stringify(value)}\n`),
  };
}
