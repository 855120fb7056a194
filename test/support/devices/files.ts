import { spoiled } from './answers.ts';
import type { Machine } from './machine.ts';
import type { Output } from './output.ts';
import type { Session } from './persona.ts';
import type { AtByte, Faults } from './spec.ts';

/** One file as a device hands it out. */
export interface Served {
  /** What it says it holds. */
  readonly sizeBytes: number;
  /** What comes of it; shorter where a fault cut it. One character per byte. */
  readonly text: string;
  /** Octets after which the connection breaks, or nothing more comes. */
  readonly cutAt: number | null;
  readonly silentAt: number | null;
}

/** What the faults make of the file at `path`, whose fault is named by its path. */
export function served(path: string, text: string, faults: Faults): Served {
  const at = (fault: AtByte | undefined): number | null =>
    fault?.command !== undefined && path.startsWith(fault.command) ? fault.byte : null;
  return {
    sizeBytes: text.length,
    text: spoiled(path, text, faults),
    cutAt: at(faults.cutAt),
    silentAt: at(faults.silentAt),
  };
}

/** `scp -f`, the side that sends: `served` null where there is no such file. */
export function serveByScp(path: string, file: Served | null, output: Output): Session {
  let step = 0;
  const next = (): void => {
    step += 1;
    if (file === null) {
      if (step > 1) return;
      output.push(`\x01scp: ${path}: No such file or directory\n`);
      output.end(1);
    } else if (step === 1) output.push(`C0644 ${file.sizeBytes} ${path.slice(path.lastIndexOf('/') + 1)}\n`);
    else if (step === 2) {
      output.command(path);
      output.push(file.text);
      if (file.text.length === file.sizeBytes) output.push('\0');
      else output.end(1);
    } else if (step === 3) output.end(0);
  };
  return {
    type: (latin1) => {
      for (const octet of latin1) {
        if (octet === '\0') next();
        else output.end(1);
      }
    },
    resume: () => output.resume(),
    hangUp: () => output.stop(),
  };
}

/** The files that are there after an answer of the machine. */
export function changedFiles(
  files: { readonly [path: string]: string } | undefined,
  change: ReturnType<Machine['exec']>['files'],
): { readonly [path: string]: string } | undefined {
  if (change === undefined) return files;
  const all: { [path: string]: string } = { ...files };
  for (const [path, text] of Object.entries(change)) {
    if (text === null) delete all[path];
    else all[path] = text;
  }
  return all;
}
