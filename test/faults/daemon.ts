import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig, fortigateConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const account = { username: 'backup', password: 'hunter2' };

export interface SlotRow {
  readonly device: string;
  readonly due_at_ms: number;
  readonly state: string | null;
  readonly cause: string | null;
  readonly run_id: string | null;
}

export interface RunRow {
  readonly id: string;
  readonly device: string;
  readonly state: string;
  readonly code: string | null;
}

/** The daemon as a service manager runs it, on devices of its own, called `fw0`, `fw1`, and so on. */
export class Daemon {
  readonly workspace = new Workspace();
  readonly devices: FakeDevice[] = [];
  log = '';
  #child: ChildProcess | null = null;
  #http = '';

  /** `settings`: YAML besides that of `roundsman init`; `keys`: of each device. Nothing is backed up yet, and no daemon runs. */
  async begin(count: number, settings: string, keys: readonly string[] = []): Promise<void> {
    const { workspace } = this;
    await workspace.init();
    Object.assign(workspace.env, {
      TEST_PASSWORD: account.password,
      TEST_ENABLE: account.password,
      TZ: 'UTC',
    });
    let inventory = `${credentialsYaml.replace('readonly:', 'readonly:\n    logins_per_second: 100')}devices:\n`;
    for (let n = 0; n < count; n++) {
      const platform = n % 2 === 0 ? 'cisco_asa' : 'fortinet_fortigate';
      const [hostname, config] = n % 2 === 0 ? ['fw-asa', asaConfig] : ['fw-fgt', fortigateConfig];
      const device = await startFakeDevice({
        ...{ platform, hostname, config, ...account },
        // Devices of one serial number are one device: never a second session to it.
        facts: { serial: `9AXX${1_000 + n}` },
      });
      this.devices.push(device);
      inventory += deviceYaml(
        { name: `fw${n}`, platform, port: device.port, hostKey: device.fingerprint },
        ...keys,
      );
    }
    workspace.inventory(inventory);
    const port = await freePort();
    this.#http = `http://127.0.0.1:${port}`;
    const written = readFileSync(workspace.config, 'utf8').replace(/^(workers|schedule):.*\n/gm, '');
    writeFileSync(workspace.config, `${written}\n${settings}\nhttp: { listen: 127.0.0.1:${port} }\n`);
  }

  /** Until it is ready. `nodeOptions` go to Node, `env` is what a service manager gives besides. */
  async start(
    env: Readonly<Record<string, string>> = {},
    nodeOptions: readonly string[] = [],
  ): Promise<number> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [...nodeOptions, program, 'daemon'], {
      env: { PATH, HOME, ...this.workspace.env, ROUNDSMAN_CONFIG: this.workspace.config, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      this.log += piece;
    });
    this.#child = child;
    await this.until('the daemon is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${this.log}`);
      return (await fetch(`${this.#http}/-/ready`).catch(() => null))?.status === 200;
    });
    return child.pid ?? 0;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** How it ended: the exit code, or the signal. Resolves once it did. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return null;
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.on('exit', resolve));
    return child.exitCode ?? child.signalCode;
  }

  slots(): SlotRow[] {
    return this.#rows('SELECT device, due_at_ms, state, cause, run_id FROM slot ORDER BY device, due_at_ms');
  }

  runs(): RunRow[] {
    return this.#rows('SELECT id, device, state, error_code AS code FROM run ORDER BY id');
  }

  async until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!(await holds())) {
      if (performance.now() > deadline)
        throw new Error(`never came true: ${what}\n${this.log.slice(-4_000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async stop(): Promise<void> {
    this.#child?.kill('SIGCONT');
    this.#child?.kill('SIGKILL');
    await this.ended();
    for (const device of this.devices) await device.stop();
    this.workspace[Symbol.dispose]();
  }

  #rows<Row>(sql: string): Row[] {
    using ledger = new DatabaseSync(join(this.workspace.state, 'ledger.db'), { readOnly: true });
    return ledger
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }) as Row);
  }
}

/** Another program can take it before we do; the daemon then says so. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
