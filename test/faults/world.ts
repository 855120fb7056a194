import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { artefactPath } from '../../src/gitstore/paths.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig, fortigateConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const account = { username: 'backup', password: 'hunter2', enable: 'hunter3' };
const addressed = '198.51.100.80';
const numbered = /10\.77\.(\d+)\.(\d+)/;

interface Numbered {
  readonly name: string;
  readonly device: FakeDevice;
  readonly config: string;
  /** How often its configuration was changed; the configuration says it. */
  changes: number;
}

/**
 * Devices whose configuration says how often it was changed, the program on them, and the model that ledger,
 * repository and sealed files are held against: what a crash or a full disk may leave, and what it may not.
 */
export class World {
  readonly workspace = new Workspace();
  readonly devices: Numbered[] = [];
  readonly #texts = new Map<string, { number: number | null; plain: string }>();

  /** Starts the devices, and trusts their keys; nothing is backed up yet. */
  async begin(names: readonly string[], settings = ''): Promise<void> {
    const { workspace } = this;
    await workspace.init();
    Object.assign(workspace.env, {
      TEST_PASSWORD: account.password,
      TEST_ENABLE: account.enable,
    });
    let inventory = `${credentialsYaml.replace('readonly:', 'readonly:\n    logins_per_second: 100')}devices:\n`;
    for (const [index, name] of names.entries()) {
      const [platform, hostname, config] =
        index % 2 === 0
          ? (['cisco_asa', 'fw-asa', asaConfig] as const)
          : (['fortinet_fortigate', 'fw-fgt', fortigateConfig] as const);
      const device = await startFakeDevice({ platform, hostname, config, ...account });
      this.devices.push({ name, device, config, changes: 0 });
      inventory += deviceYaml({ name, platform, port: device.port, hostKey: device.fingerprint });
      this.change(name);
    }
    workspace.inventory(inventory);
    if (settings !== '') appendFileSync(workspace.config, settings);
  }

  /** The program, to be stopped half-way. Its standard output is to be read; what it logs is not kept. */
  start(...args: readonly string[]): ChildProcessByStdio<null, Readable, null> {
    const { PATH = '', HOME = '' } = process.env;
    return spawn(process.execPath, [program, ...args], {
      env: { PATH, HOME, ROUNDSMAN_CONFIG: this.workspace.config, ...this.workspace.env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  }

  /** The configuration of a device becomes one that it never had. */
  change(name: string): number {
    const one = this.#named(name);
    one.changes += 1;
    one.device.change(
      one.config.replaceAll(addressed, `10.77.${Math.floor(one.changes / 250)}.${one.changes % 250}`),
    );
    return one.changes;
  }

  /**
   * What contradicts the promises, in sentences; empty when nothing does. `rest`: the last command came to its end
   * undisturbed, so nothing may be left open; else a run may be under way, and a commit may wait for its row.
   */
  async contradictions(rest: boolean): Promise<readonly string[]> {
    const { workspace } = this;
    const said: string[] = [];
    const commits = await this.#commits();
    using ledger = new DatabaseSync(join(workspace.state, 'ledger.db'), { readOnly: true });
    const rows = ledger
      .prepare('SELECT id, device, state, commit_id AS "commit", error_code AS error FROM run')
      .all() as {
      id: string;
      device: string;
      state: string;
      commit: string | null;
      error: string | null;
    }[];
    const byId = new Map(rows.map((row) => [row.id, row]));
    const byCommit = new Map(commits.map((commit) => [commit.id, commit]));

    const seen = new Set<string>();
    for (const { id, runId } of commits) {
      const row = byId.get(runId);
      if (seen.has(runId)) said.push(`run ${runId} has two commits`);
      seen.add(runId);
      if (row === undefined) said.push(`commit ${id} names run ${runId}, which the ledger does not know`);
      // git moves main although a flush failed: nobody was told of a success, and the reading is stored once more.
      else if (row.state === 'failed' && row.error?.startsWith('store.') === true) continue;
      else if (rest && !(row.state === 'changed' && row.commit === id))
        said.push(`commit ${id} names run ${runId}, which is ${row.state} with commit ${row.commit}`);
    }
    for (const { id, state, commit } of rows) {
      if (rest && state === 'running') said.push(`run ${id} has no end`);
      if (state === 'changed' && byCommit.get(commit ?? '')?.runId !== id)
        said.push(`run ${id} is changed, and commit ${commit} is not its own`);
      if (state === 'unchanged' && !byCommit.has(commit ?? ''))
        said.push(`run ${id} is unchanged since commit ${commit}, which is not there`);
    }
    said.push(
      ...(await this.#contents()),
      ...(rest ? this.#leftovers(ledger) : []),
      ...slotsOf(ledger, rest),
    );
    return said;
  }

  /** The number of changes that the stored copy of a device says; null where there is none. */
  async stored(name: string, commit = 'main'): Promise<number | null> {
    const text = await this.workspace.git('show', `${commit}:${this.#pathOf(name)}`).catch(() => null);
    return text === null ? null : numberIn(text);
  }

  async stop(): Promise<void> {
    for (const { device } of this.devices) await device.stop();
    this.workspace[Symbol.dispose]();
  }

  #named(name: string): Numbered {
    const one = this.devices.find((device) => device.name === name);
    if (one === undefined) throw new Error(`there is no device ${name}`);
    return one;
  }

  #pathOf(name: string): string {
    return artefactPath('default', name, 'running-config');
  }

  /** What a commit has of a device; read once, because a commit does not change. */
  async #textIn(id: string, name: string): Promise<{ number: number | null; plain: string }> {
    const key = `${id}:${this.#pathOf(name)}`;
    let found = this.#texts.get(key);
    if (found === undefined) {
      const text = await this.workspace.git('show', key);
      found = { number: numberIn(text), plain: text.replaceAll(new RegExp(numbered, 'g'), 'NUMBER') };
      this.#texts.set(key, found);
    }
    return found;
  }

  async #commits(): Promise<readonly { id: string; runId: string }[]> {
    const format = '--format=%H %(trailers:key=Run-Id,valueonly,separator=%x20)';
    const found = await this.workspace.git('log', format, 'main').catch(() => '');
    return found
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => ({ id: line.slice(0, 40), runId: line.slice(41) }));
  }

  /** Every stored text is one that the device had, whole, and none comes after a newer one. */
  async #contents(): Promise<readonly string[]> {
    const said: string[] = [];
    for (const { name, changes } of this.devices) {
      const ids = (
        await this.workspace.git('log', '--reverse', '--format=%H', 'main', '--', this.#pathOf(name))
      )
        .trim()
        .split('\n')
        .filter((id) => id !== '');
      let before = 0;
      for (const id of ids) {
        const { number, plain } = await this.#textIn(id, name);
        const whole = await this.#textIn(ids[0] ?? '', name);
        if (plain !== whole.plain) said.push(`${name} in ${id} is not a whole configuration`);
        if (number === null || number <= before || number > changes)
          said.push(`${name} in ${id} is change ${number} after ${before}; there were ${changes}`);
        before = number ?? before;
      }
    }
    return said;
  }

  /** Files that only something unfinished has, and sealed copies that are not there. */
  #leftovers(ledger: DatabaseSync): readonly string[] {
    const said: string[] = [];
    const { state, repository } = this.workspace;
    for (const name of readdirSync(join(state, 'spool')))
      if (name !== 'quarantine') said.push(`spool/${name} is left`);
    // What git itself left half-written takes a little space until the next maintenance, and is in nobody's way.
    for (const name of readdirSync(repository, { recursive: true, encoding: 'utf8' }))
      if (name.endsWith('.lock')) said.push(`configs.git/${name} is left`);
    const sealed = new Set(
      readdirSync(join(state, 'artefacts'), { recursive: true, encoding: 'utf8' }).map((name) =>
        name.replace(/^.*\//, '').replace(/\.age$/, ''),
      ),
    );
    for (const { digest } of ledger.prepare('SELECT digest FROM sealed').all() as { digest: string }[])
      if (!sealed.has(digest)) said.push(`the sealed copy ${digest} is not there`);
    return said;
  }
}

/** A slot that a run served ends as the run did; `rest`: a device has at most one that is open. */
function slotsOf(ledger: DatabaseSync, rest: boolean): readonly string[] {
  const said: string[] = [];
  const told = ledger
    .prepare(
      `SELECT slot.device || ' at ' || due_at_ms || ': ' || ifnull(slot.state, 'open') || ', its run ' || ifnull(run.state, 'is not there') AS problem
       FROM slot LEFT JOIN run ON run.id = slot.run_id
       WHERE slot.run_id IS NOT NULL AND slot.state IS NOT NULL AND slot.state IS NOT run.state`,
    )
    .all() as { problem: string }[];
  said.push(...told.map(({ problem }) => `slot of ${problem}`));
  if (!rest) return said;
  const open = ledger
    .prepare('SELECT device, count(*) AS n FROM slot WHERE state IS NULL GROUP BY device HAVING n > 1')
    .all() as { device: string; n: number }[];
  said.push(...open.map(({ device, n }) => `${device} has ${n} slots that are open`));
  return said;
}

/** The change that a text says; null where it says none. */
function numberIn(text: string): number | null {
  const [, high, low] = numbered.exec(text) ?? [];
  return high === undefined || low === undefined ? null : Number(high) * 250 + Number(low);
}
