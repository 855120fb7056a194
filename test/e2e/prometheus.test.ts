import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Alerting, freePort, Running, until } from '../support/alerting.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import type { DeviceSpec, Platform } from '../support/devices/spec.ts';
import { asaConfig, bigipConfig, fortigateConfig } from '../support/samples.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const minute = 60_000;
const canary = 'hunter2-canary';

const kinds: readonly { platform: Platform; hostname: string; config: string; serial: string }[] = [
  { platform: 'cisco_asa', hostname: 'fw-asa', config: asaConfig, serial: 'JAD2248' },
  { platform: 'fortinet_fortigate', hostname: 'fw-fgt', config: fortigateConfig, serial: 'FGT91GTK0000' },
  { platform: 'f5_bigip', hostname: 'lb1', config: bigipConfig, serial: 'f5-abcd-' },
];

/** A line of `runs --json`. */
interface Entry {
  readonly device: string;
  readonly slot: string | null;
  readonly trigger: string | null;
  readonly state: string;
  readonly cause: string | null;
}

/** A collector with devices of its own, due every minute. */
class Site {
  readonly workspace = new Workspace();
  readonly names: readonly string[];
  /** What its daemons have written so far, one after the other. */
  #before = '';
  #daemon: Running | null = null;
  #listen = '';
  readonly #devices = new Map<string, FakeDevice>();
  readonly #specs = new Map<string, DeviceSpec>();

  constructor(count: number) {
    this.names = Array.from({ length: count }, (_, index) => `fw${index + 1}`);
  }

  /** What Prometheus calls it. */
  get instance(): string {
    return this.#listen;
  }

  get log(): string {
    return this.#before + (this.#daemon?.stderr ?? '');
  }

  async init(settings: string): Promise<void> {
    const { workspace } = this;
    await workspace.init();
    workspace.env.TEST_PASSWORD = canary;
    workspace.env.TEST_ENABLE = canary;
    this.#listen = `127.0.0.1:${await freePort()}`;
    let inventory = `${credentialsYaml}    logins_per_second: 100\ndevices:\n`;
    for (const [index, name] of this.names.entries()) {
      const { serial, ...kind } = kinds[index % kinds.length] as (typeof kinds)[number];
      const account = { username: 'backup', password: canary };
      const facts = { serial: `${serial}${String(index).padStart(4, '0')}` };
      const spec: DeviceSpec = { ...kind, ...account, facts };
      const device = await startFakeDevice(spec);
      this.#specs.set(name, spec);
      this.#devices.set(name, device);
      const { port, fingerprint: hostKey } = device;
      inventory += deviceYaml({ name, platform: kind.platform, port, hostKey });
    }
    workspace.inventory(inventory);
    writeFileSync(
      workspace.config,
      `${readFileSync(workspace.config, 'utf8').replace('format: plain', 'format: json')}
schedule: "* * * * *"
splay: 0s
catch_up_spread: 0s
${settings}
http: { listen: ${this.#listen} }
`,
    );
  }

  /** From now on this device refuses every connection. */
  async break(name: string): Promise<void> {
    await this.#devices.get(name)?.stop();
  }

  /** It answers again, where it did before. */
  async mend(name: string): Promise<void> {
    const spec = this.#specs.get(name);
    if (spec === undefined) throw new Error(`no device ${name}`);
    this.#devices.set(name, await startFakeDevice(spec, this.#devices.get(name)?.port));
  }

  async start(): Promise<void> {
    const env = { ...this.workspace.env, ROUNDSMAN_CONFIG: this.workspace.config, TZ: 'UTC' };
    const daemon = new Running(process.execPath, [program, 'daemon'], env);
    this.#before = this.log;
    this.#daemon = daemon;
    await until('the daemon is ready', async () => {
      if (!daemon.alive) throw new Error(`the daemon ended: ${daemon.stderr}`);
      return (await fetch(`http://${this.#listen}/-/ready`).catch(() => null))?.status === 200;
    });
  }

  async stop(): Promise<number | null> {
    return (await this.#daemon?.stop()) ?? null;
  }

  /** `roundsman runs … --json` */
  async runs(...options: string[]): Promise<Entry[]> {
    const said = await this.workspace.run(['runs', ...options, '--json']);
    if (said.code !== 0) throw new Error(said.stderr);
    return JSON.parse(said.stdout) as Entry[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    for (const device of this.#devices.values()) await device.stop();
    this.workspace[Symbol.dispose]();
  }
}

/** The instant of the next slot. */
function nextSlot(): number {
  return Math.ceil(Date.now() / minute) * minute;
}

function endings(entries: readonly Entry[]): string[] {
  return entries.map(({ device, slot, cause }) => `${device} ${slot} ${cause}`).sort();
}

describeWith('prometheus', 'the daemon, watched by Prometheus', (prometheus) => {
  describeWith('prometheus-alertmanager', 'and Alertmanager', (alertmanager) => {
    const alerting = new Alerting();
    /** Its daemon is stopped past a slot. */
    const stopped = new Site(3);
    /** Its daemon goes on, and one of its devices is dead: of eleven, which is not many. */
    const going = new Site(11);
    const dead = 'fw4';
    let stoppedAt = 0;
    let missed: string[] = [];

    beforeAll(async () => {
      // Due 23 s after each slot; the other one, which has to do more at once, a minute after it.
      await stopped.init('start_within: 8s\nmax_runtime: 15s');
      await going.init('max_runtime: 30s');
      await going.break(dead);
      const programs = { prometheus, alertmanager };
      await alerting.start(programs, stopped.workspace.dir, [stopped.instance, going.instance]);
      await Promise.all([stopped.start(), going.start()]);
    }, 60_000);

    afterAll(async () => {
      await alerting.stop();
      await stopped[Symbol.asyncDispose]();
      await going[Symbol.asyncDispose]();
    }, 60_000);

    const come = (what: string, holds: () => Promise<boolean>, withinMs = 45_000): Promise<void> =>
      until(what, holds, withinMs, () => `${alerting.complaints}${stopped.log}${going.log}`);

    /** Devices of which this alert fires now. */
    async function firing(alertname: string, { instance }: Site): Promise<string[]> {
      const alerts = await alerting.firing(alertname, { instance });
      return alerts.map(({ labels }) => labels.device ?? '').sort();
    }

    /** Seconds from now until the due time that Prometheus knows, for each device; negative: it has passed. */
    async function dueIn({ instance }: Site): Promise<number[]> {
      const name = 'roundsman_device_backup_due_timestamp_seconds';
      return (await alerting.query(`${name}{instance="${instance}"} - time()`)).map(({ value }) => value);
    }

    it('as long as backups succeed, no device is overdue', async () => {
      await come(
        'every device is backed up by schedule',
        async () => {
          const good = (await stopped.runs('--ok')).filter(({ trigger }) => trigger === 'schedule');
          return stopped.names.every((name) => good.some(({ device }) => device === name));
        },
        minute + 30_000,
      );
      await come('Prometheus knows it', async () => {
        const name = 'roundsman_device_last_attempt_successful';
        const [good, due] = [
          await alerting.value(`sum(${name}{instance="${stopped.instance}"})`),
          await dueIn(stopped),
        ];
        return good === 3 && due.length === 3 && due.every((seconds) => seconds > 0);
      });
      expect(await alerting.alerts('ConfigBackupOverdue', { instance: stopped.instance })).toEqual([]);
      expect(await firing('ConfigBackupCollectorDown', stopped)).toEqual([]);
      expect(await alerting.firing('ConfigBackupWatchdog')).toHaveLength(1);
    }, 120_000);

    it('stopped past a slot, its devices are overdue, and stay so while nothing is there to say it', async () => {
      const { instance } = stopped;
      await come('no slot falls due while it stops', async () => nextSlot() - Date.now() > 5_000, 10_000);
      stoppedAt = Date.now();
      expect(await stopped.stop()).toBe(0);
      await come(
        'each device is overdue',
        async () => (await firing('ConfigBackupOverdue', stopped)).length === 3,
        nextSlot() - Date.now() + minute,
      );
      expect(await firing('ConfigBackupOverdue', stopped)).toEqual(stopped.names);
      expect(await alerting.firing('ConfigBackupCollectorDown', { instance })).toHaveLength(1);
      await come(
        'they fire for ten seconds, and so does the larger alert',
        async () =>
          (await alerting.firing('ConfigBackupManyOverdue', { instance })).length === 1 &&
          (await alerting.unbroken('ConfigBackupOverdue', { instance, device: 'fw1' })).of > 10,
      );
      // The series are gone, the alerts are not.
      expect(await dueIn(stopped)).toEqual([]);
      for (const device of stopped.names) {
        const { fired, of } = await alerting.unbroken('ConfigBackupOverdue', { instance, device });
        expect(fired).toBe(of);
      }
    }, 180_000);

    it('meanwhile people are told the one cause, not its consequences', async () => {
      const { instance } = stopped;
      for (const alertname of ['ConfigBackupCollectorDown', 'ConfigBackupManyOverdue']) {
        await come(
          `somebody is told of ${alertname}`,
          async () => alerting.told(alertname, { instance }).length > 0,
        );
        expect(alerting.told(alertname, { instance })[0]).toMatchObject({
          path: '/on-call',
          status: 'firing',
        });
      }
      expect(await alerting.treated({ alertname: 'ConfigBackupOverdue', instance })).toBe('suppressed');
      expect(alerting.told('ConfigBackupOverdue', { instance })).toEqual([]);
    }, 60_000);

    it('started again, it says what it missed: in the ledger, in the log and as a metric', async () => {
      const { instance } = stopped;
      // Clear of the next slot: that one would be served by the catch-up, or by a run of its own.
      await come('some seconds are left', async () => nextSlot() - Date.now() > 15_000);
      await stopped.start();
      const startedAt = Date.now();
      const slots: string[] = [];
      for (let slot = Math.ceil(stoppedAt / minute) * minute; slot <= startedAt; slot += minute)
        slots.push(new Date(slot).toISOString());
      expect(slots.length).toBeGreaterThan(0);
      missed = stopped.names.flatMap((name) => slots.map((slot) => `${name} ${slot} collector_down`)).sort();

      const rows = await stopped.runs('--missed');
      expect(rows.every(({ state }) => state === 'missed')).toBe(true);
      expect(endings(rows)).toEqual(missed);
      const failures = stopped.log.split('\n').filter((line) => line.includes('backup failure'));
      const lines = failures.map((line) => JSON.parse(line) as Entry & { outcome: string });
      expect(endings(lines.filter(({ outcome }) => outcome === 'missed'))).toEqual(missed);
      const total = `roundsman_backup_missed_total{instance="${instance}", cause="collector_down"}`;
      await come('Prometheus counts them', async () => (await alerting.value(total)) === missed.length);
      await come('and says so', async () => {
        const [alert] = await alerting.firing('ConfigBackupRunsMissed', { instance });
        return alert?.labels.cause === 'collector_down';
      });
    }, 120_000);

    it('the catch-up ends the alerts, and whoever was told of one is told that', async () => {
      const { instance } = stopped;
      const names = ['ConfigBackupOverdue', 'ConfigBackupManyOverdue', 'ConfigBackupCollectorDown'];
      await come('the alerts are over', async () => {
        for (const name of names) if ((await alerting.alerts(name, { instance })).length > 0) return false;
        return true;
      });
      const catchUps = (await stopped.runs('--ok')).filter(({ trigger }) => trigger === 'catch-up');
      expect(catchUps.map(({ device }) => device).sort()).toEqual(stopped.names);
      expect((await dueIn(stopped)).every((seconds) => seconds > 0)).toBe(true);
      // What was made up for stays missed.
      expect(endings(await stopped.runs('--missed'))).toEqual(missed);
      for (const alertname of ['ConfigBackupCollectorDown', 'ConfigBackupManyOverdue']) {
        await come(`somebody is told that ${alertname} is over`, async () =>
          alerting.told(alertname, { instance }).some(({ status }) => status === 'resolved'),
        );
      }
    }, 120_000);

    it('a dead device fails and stays overdue, however well its neighbours do', async () => {
      const labels = { instance: going.instance, device: dead };
      const failures = `roundsman_device_consecutive_failures{instance="${going.instance}", device="${dead}"}`;
      await come(
        'it is overdue and failing',
        async () =>
          (await firing('ConfigBackupOverdue', going)).includes(dead) &&
          (await firing('ConfigBackupFailing', going)).includes(dead),
        2 * minute,
      );
      expect(await alerting.value(failures)).toBeGreaterThanOrEqual(2);
      expect(await firing('ConfigBackupOverdue', going)).toEqual([dead]);
      expect(await firing('ConfigBackupFailing', going)).toEqual([dead]);
      await come('somebody is told', async () => alerting.told('ConfigBackupOverdue', labels).length > 0);

      const good = (await going.runs('--ok')).filter(({ trigger }) => trigger === 'schedule');
      for (const name of going.names) {
        const count = good.filter(({ device }) => device === name).length;
        if (name === dead) expect(count).toBe(0);
        else expect(count, name).toBeGreaterThanOrEqual(2);
      }
      const { fired, of } = await alerting.unbroken('ConfigBackupOverdue', labels);
      expect(fired).toBe(of);
      const told = alerting.told('ConfigBackupOverdue', labels);
      expect(told.map(({ path, status }) => `${path} ${status}`)).toEqual(
        Array(told.length).fill('/network-team firing'),
      );
    }, 180_000);

    it('and only a success of its own ends that', async () => {
      const labels = { instance: going.instance, device: dead };
      const { activeAt } = (await alerting.firing('ConfigBackupOverdue', labels))[0] ?? {};
      await going.mend(dead);
      expect((await going.workspace.run(['backup', dead, '--json'])).code).toBe(0);
      for (const alertname of ['ConfigBackupOverdue', 'ConfigBackupFailing']) {
        await come(
          `${alertname} is over`,
          async () => (await alerting.alerts(alertname, labels)).length === 0,
        );
        await come('somebody is told', async () =>
          alerting.told(alertname, labels).some(({ status }) => status === 'resolved'),
        );
      }
      // It was one alert from the first time to the last.
      const told = alerting.told('ConfigBackupOverdue', labels);
      expect(new Set(told.map(({ startsAt }) => startsAt)).size).toBe(1);
      expect(Date.parse(told[0]?.startsAt ?? '')).toBeGreaterThanOrEqual(Date.parse(activeAt ?? ''));
    }, 120_000);

    it('and no secret is in any log', () => {
      expect(stopped.log + going.log).toContain('daemon started');
      expect(stopped.log + going.log).not.toContain('canary');
    });
  });
});
