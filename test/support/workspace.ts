import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));

/** What a command said and how it ended. */
export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A line of `backup --json`. */
export interface BackupLine {
  readonly device: string;
  readonly platform: string;
  readonly run_id: string;
  readonly outcome: 'changed' | 'unchanged' | 'failed' | 'quarantined';
  readonly commit: string | null;
  readonly under_new_rules: boolean;
  readonly restorable: 'yes' | 'partial' | 'no' | null;
  readonly artefacts: readonly { name: string; path: string; bytes: number; changed: boolean }[];
  readonly duration_ms: number;
  readonly error: {
    readonly code: string;
    readonly stage: string;
    readonly message: string;
    readonly todo: string;
    readonly detail: Readonly<Record<string, unknown>>;
  } | null;
}

/** A configuration in a directory of its own, and the program run on it as a user runs it. */
export class Workspace {
  readonly dir = mkdtempSync(join(tmpdir(), 'roundsman-e2e-'));
  readonly config = join(this.dir, 'roundsman.yaml');
  readonly state = join(this.dir, 'state');
  readonly repository = join(this.state, 'configs.git');
  readonly identity = join(this.dir, 'identity.txt');
  /** What every command finds in its environment besides PATH and HOME. */
  readonly env: Record<string, string> = {};

  /** Writes the files of `roundsman init`. */
  async init(): Promise<void> {
    const said = await this.run(['init', this.dir]);
    if (said.code !== 0) throw new Error(said.stderr);
  }

  inventory(text: string): void {
    writeFileSync(join(this.dir, 'devices.yaml'), text);
  }

  /** Runs `roundsman` with this configuration. `onSpawn` gets the process id, to stop it half-way. */
  async run(args: readonly string[], onSpawn: (pid: number) => void = () => {}): Promise<Said> {
    return this.spawn(process.execPath, [program, ...args], onSpawn);
  }

  /** `backup --json` of these devices (all when none is named), by device name. */
  async backup(
    ...names: string[]
  ): Promise<{ code: number | null; lines: Map<string, BackupLine>; stderr: string }> {
    const { code, stdout, stderr } = await this.run(['backup', ...names, '--json']);
    const lines = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as BackupLine);
    return { code, lines: new Map(lines.map((line) => [line.device, line])), stderr };
  }

  /** The output of git on the repository of this workspace; throws where git fails. */
  async git(...args: string[]): Promise<string> {
    const said = await this.spawn('git', ['--git-dir', this.repository, ...args]);
    if (said.code !== 0) throw new Error(`git ${args.join(' ')}: ${said.stderr}`);
    return said.stdout;
  }

  private spawn(
    file: string,
    args: readonly string[],
    onSpawn: (pid: number) => void = () => {},
  ): Promise<Said> {
    return new Promise((resolve, reject) => {
      const { PATH = '', HOME = '/root' } = process.env;
      const child = spawn(file, args, {
        cwd: this.dir,
        env: { PATH, HOME, ROUNDSMAN_CONFIG: this.config, ...this.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('latin1').on('data', (piece: string) => {
        stdout += piece;
      });
      child.stderr.setEncoding('latin1').on('data', (piece: string) => {
        stderr += piece;
      });
      child.on('error', reject);
      child.on('spawn', () => onSpawn(child.pid ?? 0));
      child.on('close', (code) => resolve({ code, stdout, stderr }));
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** One device of an inventory, as YAML. `more` is further keys in flow style, such as `timeouts: { idle: 1s }`. */
export function deviceYaml(
  device: {
    name: string;
    platform: string;
    port: number;
    hostKey?: string;
    credentials?: string;
    host?: string;
  },
  ...more: string[]
): string {
  const lines = [
    `name: ${device.name}`,
    `platform: ${device.platform}`,
    `host: ${device.host ?? '127.0.0.1'}`,
    `port: ${device.port}`,
    `credentials: ${device.credentials ?? 'readonly'}`,
    ...(device.hostKey === undefined ? [] : [`host_key: ${device.hostKey}`]),
    ...more,
  ];
  return `  - ${lines.join('\n    ')}\n`;
}

/** Credentials `readonly` whose password (and enable password) lies in the environment. */
export const credentialsYaml = `credentials:
  readonly:
    username: backup
    password: { env: TEST_PASSWORD }
    enable: { env: TEST_ENABLE }
`;
