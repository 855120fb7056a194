import { type Display, fill, names, spoiled } from './answers.ts';
import { changedFiles, type Served, serveByScp, served } from './files.ts';
import type { Machine } from './machine.ts';
import { Output } from './output.ts';
import { platformOf } from './platforms.ts';
import { render } from './render.ts';
import { Shell } from './shell.ts';
import type { DeviceSpec, Faults } from './spec.ts';

/** What a persona talks into: an SSH channel, or a test's own memory. */
export interface Far {
  /** False: hold back until `Session.resume` is called. */
  write(latin1: string, source: 'stdout' | 'stderr'): boolean;
  /** The device closes this channel in order. */
  end(exitStatus: number | null): void;
  /** The TCP connection breaks. */
  cut(): void;
}

/** One shell or one command under way. */
export interface Session {
  /** Bytes that the client typed. */
  type(latin1: string): void;
  resume(): void;
  hangUp(): void;
}

/** Everything that was typed, in order: whole lines, single keys (pagers, questions), secrets. */
export interface Typed {
  readonly kind: 'line' | 'key' | 'secret' | 'exec';
  readonly text: string;
}

/** One answer as the device meant it, before any fault and any terminal: the exact text. */
export interface Displayed {
  readonly command: string;
  readonly text: string;
}

/** Calls back after some milliseconds; the returned function cancels. */
export type After = (ms: number, then: () => void) => () => void;

/** A device without a network: what it knows, what it was told, what it showed. */
export interface Persona {
  readonly spec: DeviceSpec;
  readonly typed: readonly Typed[];
  readonly displayed: readonly Displayed[];
  /** Secrets that were made up for a display. */
  readonly madeUpSecrets: ReadonlySet<string>;
  /** Another configuration from now on. */
  change(config: string): void;
  /** Other faults from the next session on. */
  setFaults(faults: Faults): void;
  shell(far: Far, terminal: { readonly columns: number; readonly rows: number }): Session;
  exec(line: string, far: Far): Session;
  /** A file that is asked for over SFTP; null where there is none. Throws where the device has no SFTP. */
  file(path: string): Served | null;
}

/** The machine's own timers. */
const realTime: After = (ms, then) => {
  const timer = setTimeout(then, ms);
  return () => clearTimeout(timer);
};

/** A device as `initial` says. `after` replaces the machine's timers. */
export function createPersona(initial: DeviceSpec, after: After = realTime): Persona {
  let spec = initial;
  let displays = 0;
  const typed: Typed[] = [];
  const displayed: Displayed[] = [];
  const madeUpSecrets = new Set<string>();

  /** Fills in one answer and remembers what it became. */
  const display = (command: string, template: string, more: { readonly [key: string]: string }): string => {
    displays += 1;
    const whole = template.replaceAll('{{config}}', () => spec.config);
    const { text, secrets } = render(fill(whole, { host: spec.hostname, ...more }), displays);
    for (const secret of secrets) madeUpSecrets.add(secret);
    displayed.push({ command, text });
    return text;
  };

  const serve = (path: string): Served | null => {
    const template = spec.files?.[path];
    return template === undefined ? null : served(path, display(path, template, {}), spec.faults ?? {});
  };

  return {
    get spec() {
      return spec;
    },
    typed,
    displayed,
    madeUpSecrets,
    change(config) {
      spec = { ...spec, config };
    },
    setFaults(faults) {
      spec = { ...spec, faults };
    },
    shell: (far, terminal) =>
      new Shell(platformOf(spec.platform).machine(spec), spec, { far, after, terminal, typed, display }),
    exec(line, far) {
      typed.push({ kind: 'exec', text: line });
      const path = /^scp -f (\S+)$/.exec(line)?.[1];
      if (path !== undefined && spec.files !== undefined) {
        const output = new Output(far, spec.faults ?? {}, after, () => {});
        return serveByScp(path, serve(path), output);
      }
      const machine = platformOf(spec.platform).machine(spec);
      const answering: Machine = {
        ...machine,
        exec(asked) {
          const answer = machine.exec(asked);
          const files = changedFiles(spec.files, answer.files);
          if (files !== undefined) spec = { ...spec, files };
          return answer;
        },
      };
      return runExec(answering, spec, line, far, after, display);
    },
    file(path) {
      typed.push({ kind: 'exec', text: `sftp ${path}` });
      if (spec.files === undefined) throw new Error('Unable to start subsystem: sftp');
      return serve(path);
    },
  };
}

function runExec(
  machine: Machine,
  spec: DeviceSpec,
  line: string,
  far: Far,
  after: After,
  display: Display,
): Session {
  const faults = spec.faults ?? {};
  const output = new Output(far, faults, after, () => {});
  const session: Session = { type: () => {}, resume: () => output.resume(), hangUp: () => output.stop() };
  const inner = /['"]?(?:cd \/\S*; *)?([^'";]+)['"]?\s*$/.exec(line)?.[1]?.trim() ?? line;
  output.command(inner);
  if (names(faults.silentTo, inner)) return session;
  if (faults.endless !== undefined && names(faults.endless.command, inner)) {
    output.endless(faults.endless.line);
    return session;
  }
  const answer = machine.exec(line);
  const fixed = faults.replace !== undefined && names(faults.replace.command, inner) ? faults.replace : null;
  if (fixed === null) {
    const meant = display(line, answer.stdout, { model: spec.facts?.model ?? '' });
    output.push(spoiled(inner, meant, faults));
    if (answer.stderr !== '') output.push(answer.stderr, 'stderr');
  } else if (spec.errorsTo === 'stdout') output.push(fixed.with);
  else output.push(fixed.with, 'stderr');
  const exitStatus = fixed === null ? answer.exitStatus : (fixed.exitStatus ?? 1);
  if (exitStatus !== null) output.end(exitStatus);
  return session;
}
