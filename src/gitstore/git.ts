import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { clip, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { freeBytes } from './storing.ts';

/** What one git process left. */
export interface GitResult {
  /** 128 and the signal's number where a signal ended it, 127 where the program is not there. */
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** One bare repository, and how git is called on it: never with a person's or a machine's settings. */
export interface Git {
  readonly dir: string;
  readonly program: string;
  /** Runs git and waits; `input` goes to its standard input. Never throws for an exit code. */
  run(args: readonly string[], input?: Buffer | string): Promise<GitResult>;
  /** The same, where any exit code but 0, and anything on standard error, is a failure (`store.*`). */
  must(args: readonly string[], input?: Buffer | string): Promise<Buffer>;
  /**
   * Starts git in a process group of its own, so that a Ctrl-C for us does not cut a batch. `environment` is
   * all of it; absent: `gitEnvironment`.
   */
  start(args: readonly string[], environment?: Readonly<Record<string, string>>): GitChild;
  /** What a failed git process means for an operator. */
  failure(command: string, result: Pick<GitResult, 'exitCode' | 'stderr'>): Promise<BackupError>;
}

/** A git process that is under way. */
export interface GitChild {
  readonly process: ChildProcessWithoutNullStreams;
  /** Settles when it ended; never rejects. `stdout` is empty: the caller reads it. */
  readonly ended: Promise<GitResult>;
}

/**
 * Settings that must hold whatever the repository's own file says. git flushes nothing but packs by
 * default; a hook or an attribute file of a person would run with our rights.
 */
export const settings: readonly (readonly [string, string])[] = [
  ['core.fsync', 'all'],
  ['core.fsyncMethod', 'fsync'],
  // A ref that a power cut emptied is found again in its log; bare repositories keep none by default.
  ['core.logAllRefUpdates', 'true'],
  ['gc.auto', '0'],
];

const outsiders: readonly (readonly [string, string])[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.attributesFile', '/dev/null'],
];

/** The whole environment of a git child. */
export function gitEnvironment(): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: process.env.HOME ?? '/',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    LC_ALL: 'C',
  };
}

const signalNumbers: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** What is kept of standard error: a message, whatever else comes after it. */
const mostStderr = 64 * 1024;

/** What git writes is then for those whom the directories let in, by their own group, and for nobody else. */
const forReaders = { setting: ['core.sharedRepository', 'umask'], umask: '027' } as const;

/** `dir` is an absolute path and exists. `readable`: its group may read what git writes there. */
export function gitIn(dir: string, program: string, readable = false): Git {
  const shared = readable ? [forReaders.setting] : [];
  const leading = [['safe.directory', dir] as const, ...settings, ...outsiders, ...shared].flatMap(
    ([key, value]) => ['-c', `${key}=${value}`],
  );
  /** A shell that becomes git: the mask of this process is for everything else that it writes. */
  const masked = ['-c', `umask ${forReaders.umask}; exec "$0" "$@"`, program];

  function start(args: readonly string[], environment = gitEnvironment()): GitChild {
    const [file, before] = readable ? ['/bin/sh', masked] : [program, []];
    const child = spawn(file, [...before, ...leading, ...args], {
      cwd: dir,
      env: environment,
      stdio: 'pipe',
      detached: true,
    });
    const stderr: Buffer[] = [];
    let kept = 0;
    child.stderr.on('data', (chunk: Buffer) => {
      if (kept < mostStderr) stderr.push(chunk);
      kept += chunk.length;
    });
    // A child that died answers writes with EPIPE; its exit code says more.
    child.stdin.on('error', () => {});
    const ended = new Promise<GitResult>((resolve) => {
      const settle = (exitCode: number, said: string) =>
        resolve({ exitCode, stdout: Buffer.alloc(0), stderr: said });
      child.once('error', (error: NodeJS.ErrnoException) =>
        settle(127, `${program} cannot be run: ${error.code ?? error.message}`),
      );
      child.once('close', (code, signal) => {
        const said = Buffer.concat(stderr).toString('utf8');
        if (signal === null) settle(code ?? 1, said);
        else settle(128 + (signalNumbers[signal] ?? 0), said === '' ? `ended by ${signal}` : said);
      });
    });
    return { process: child, ended };
  }

  async function run(args: readonly string[], input?: Buffer | string): Promise<GitResult> {
    const child = start(args);
    const stdout: Buffer[] = [];
    child.process.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.process.stdin.end(input);
    const result = await child.ended;
    return { ...result, stdout: Buffer.concat(stdout) };
  }

  async function failure(
    command: string,
    { exitCode, stderr }: Pick<GitResult, 'exitCode' | 'stderr'>,
  ): Promise<BackupError> {
    const lock = /Unable to create '([^']+\.lock)': File exists/.exec(stderr)?.[1];
    if (lock !== undefined) return lockedBy(lock);
    const errno = errnoIn(stderr);
    if (errno !== null) {
      const free = errno === 'ENOSPC' ? await freeBytes(dir) : 0;
      return storageError(Object.assign(new Error(errno), { code: errno }), dir, free);
    }
    return new BackupError('store.git-failed', {
      command,
      exitCode,
      stderr: clip(harmless(stderr.trim().replace(/\s*\n\s*/g, ' | ')), 500),
    });
  }

  async function must(args: readonly string[], input?: Buffer | string): Promise<Buffer> {
    const result = await run(args, input);
    if (result.exitCode === 0 && result.stderr === '') return result.stdout;
    throw await failure(args[0] ?? 'git', result);
  }

  return { dir, program, run, must, start, failure };
}

/** The failure of a lock that somebody else holds, or that cannot be told from one that is held. */
export async function lockedBy(lockFile: string): Promise<BackupError> {
  const since = await stat(lockFile).then(
    (found) => found.mtimeMs,
    () => Date.now(),
  );
  return new BackupError('store.locked', {
    lockFile,
    heldForMs: Math.max(0, Math.round(Date.now() - since)),
  });
}

/** git hands on what the C library says; LC_ALL=C keeps these words. */
function errnoIn(stderr: string): string | null {
  if (/No space left on device|Disk quota exceeded/.test(stderr)) return 'ENOSPC';
  if (stderr.includes('Read-only file system')) return 'EROFS';
  if (stderr.includes('Permission denied')) return 'EACCES';
  if (stderr.includes('Input/output error')) return 'EIO';
  return null;
}
