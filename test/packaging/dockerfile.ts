import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

/** One instruction, its continuation lines joined. */
export interface Instruction {
  readonly name: string;
  /** Options such as `--from=libraries`, by name. */
  readonly options: Readonly<Record<string, string>>;
  /** What follows them; for the exec form the members of the JSON array. */
  readonly args: readonly string[];
  readonly exec: boolean;
  readonly text: string;
}

/** One stage: what comes from its FROM on. */
export interface Stage {
  readonly from: string;
  readonly name: string | null;
  readonly instructions: readonly Instruction[];
}

/** The instructions before the first FROM, and the stages. Throws at a line that is no instruction. */
export function parseDockerfile(text: string): { global: readonly Instruction[]; stages: readonly Stage[] } {
  const joined = text.replace(/^\s*#.*\n/gm, '').replace(/\\\n/g, ' ');
  const global: Instruction[] = [];
  const stages: { from: string; name: string | null; instructions: Instruction[] }[] = [];
  for (const line of joined.split('\n').filter((each) => each.trim() !== '')) {
    const instruction = parseInstruction(line);
    if (instruction.name === 'FROM') {
      const [from = '', as, name = null] = instruction.args;
      if (as !== undefined && as !== 'AS') throw new Error(`expected AS: ${line}`);
      stages.push({ from, name, instructions: [] });
    } else (stages.at(-1)?.instructions ?? global).push(instruction);
  }
  return { global, stages };
}

const known = new Set(
  'ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN STOPSIGNAL USER VOLUME WORKDIR'.split(' '),
);

function parseInstruction(line: string): Instruction {
  const [, name = '', tail = ''] = /^(\S+)\s+(.*)$/s.exec(line.trim()) ?? [];
  if (!known.has(name)) throw new Error(`no instruction: ${line}`);
  const options: Record<string, string> = {};
  let text = tail.replace(/\s+/g, ' ');
  for (;;) {
    const option = /^--([a-z-]+)=(\S+)\s*/.exec(text);
    if (option === null) break;
    options[option[1] ?? ''] = option[2] ?? '';
    text = text.slice(option[0].length);
  }
  const exec = /^(?:CMD )?\[/.test(text);
  const args = exec ? (JSON.parse(text.replace(/^CMD /, '')) as string[]) : text.split(' ');
  return { name, options, args, exec, text };
}

/** Which files of a context .dockerignore lets through: the last line that matches a file or a folder above it wins. */
export function isSent(path: string, ignore: string): boolean {
  let sent = true;
  for (const line of ignore.split('\n').map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const pattern = globOf(line.replace(/^!/, '').replace(/\/$/, ''));
    const parts = path.split('/');
    const prefixes = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
    if (prefixes.some((prefix) => pattern.test(prefix))) sent = line.startsWith('!');
  }
  return sent;
}

/** A star stands for anything but a slash, dots in front too. Throws at what this does not understand. */
function globOf(pattern: string): RegExp {
  if (/[[\]?]|\*\*/.test(pattern)) throw new Error(`pattern not supported: ${pattern}`);
  return new RegExp(`^${pattern.replace(/[.+^${}()|\\]/g, '\\$&').replace(/\*/g, '[^/]*')}$`);
}

/** Copies of `checkout` to `target` what .dockerignore lets through: the build context. */
export function sendContext(checkout: string, target: string, ignore: string): string[] {
  const sent: string[] = [];
  for (const top of readdirSync(checkout)) {
    if (top === 'node_modules' || top === '.git') {
      if (isSent(top, ignore)) throw new Error(`${top} would be sent`);
      continue;
    }
    const inside = statSync(join(checkout, top)).isDirectory()
      ? readdirSync(join(checkout, top), { recursive: true, encoding: 'utf8' }).map(
          (name) => `${top}/${name}`,
        )
      : [top];
    for (const path of inside) {
      if (!isSent(path, ignore) || statSync(join(checkout, path)).isDirectory()) continue;
      mkdirSync(dirname(join(target, path)), { recursive: true });
      cpSync(join(checkout, path), join(target, path));
      sent.push(path);
    }
  }
  return sent;
}

/**
 * COPY as the builder does it: from `source` into the image's `root`, relative to `workdir`. A folder gives
 * its contents, a file goes below a target that ends in a slash or is a folder. Throws for a missing source.
 */
export function copy(args: readonly string[], source: string, root: string, workdir: string): void {
  const sources = args.slice(0, -1);
  const last = args.at(-1) ?? '';
  const place = join(root, last.startsWith('/') ? last : join(workdir, last));
  for (const each of sources) {
    const from = join(source, each);
    if (!existsSync(from)) throw new Error(`COPY ${each}: not in ${relative('/', source)}`);
    if (statSync(from).isDirectory()) cpSync(from, place, { recursive: true });
    else {
      const intoFolder = last.endsWith('/') || last === '.' || sources.length > 1;
      const to = intoFolder ? join(place, basename(each)) : place;
      mkdirSync(dirname(to), { recursive: true });
      cpSync(from, to);
    }
  }
}
