import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const examples = fileURLToPath(new URL('../../config/prometheus/', import.meta.url));

/** A program that goes on running, with what it says on stderr. */
export class Running {
  stderr = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;

  constructor(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { PATH = '', HOME = '' } = process.env;
    this.#child = spawn(file, args, { env: { PATH, HOME, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      this.stderr += piece;
    });
    this.#ended = once(this.#child, 'close').then(([code]) => code as number | null);
    // A program that could not even be started rejects where it is stopped, not before anybody waits for it.
    this.#ended.catch(() => {});
  }

  get alive(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Asks it to end and resolves to its exit code; null where it was killed, after ten seconds. */
  async stop(): Promise<number | null> {
    if (this.alive) this.#child.kill('SIGTERM');
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(killer);
    }
  }
}

/** Waits for something to come true; throws with what is in `told` where it does not within `withinMs`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 45_000,
  told: () => unknown = () => '',
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}\n${String(told())}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** One alert of a notification. */
interface Notice {
  /** Path of the webhook, such as `/on-call`. */
  readonly path: string;
  readonly status: 'firing' | 'resolved';
  readonly labels: Readonly<Record<string, string>>;
  readonly startsAt: string;
}

interface PendingOrFiring {
  readonly labels: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
  readonly activeAt: string;
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * A derived copy of an example: each text has to be there. Nothing of it is changed by other means, so that
 * what is tested is what people get.
 */
function derive(
  name: string,
  dir: string,
  replacements: readonly (readonly [string | RegExp, string])[],
): string {
  let text = readFileSync(join(examples, name), 'utf8');
  for (const [old, replacement] of replacements) {
    const replaced = text.replaceAll(old, replacement);
    if (replaced === text) throw new Error(`${name} does not contain ${String(old)}`);
    text = replaced;
  }
  const file = join(dir, name);
  writeFileSync(file, text);
  return file;
}

/** Seconds between two scrapes and between two evaluations of the rules. */
const everySeconds = 2;

/**
 * Prometheus, Alertmanager and somebody who is told, all on 127.0.0.1, with the examples and the rules of
 * config/prometheus. Only times and addresses differ: scrapes and evaluations come every 2 s, `for: 5m` is
 * 5 s (likewise every number of minutes; hours and days stay), groups are told after 1 s and every 2 s.
 */
export class Alerting {
  readonly notices: Notice[] = [];
  #prometheus: Running | null = null;
  #alertmanager: Running | null = null;
  #webhook: Server | null = null;
  #prometheusUrl = '';
  #alertmanagerUrl = '';

  /** `targets`: where the collectors listen. Resolves once both programs are ready. */
  async start(
    programs: { prometheus: string; alertmanager: string },
    dir: string,
    targets: readonly string[],
  ) {
    const webhook = await this.#listen();
    const alertmanager = `127.0.0.1:${await freePort()}`;
    const prometheus = `127.0.0.1:${await freePort()}`;
    this.#alertmanagerUrl = `http://${alertmanager}`;
    this.#prometheusUrl = `http://${prometheus}`;
    const routing = derive('alertmanager.example.yml', dir, [
      ['127.0.0.1:9095', webhook],
      ['group_wait: 30s', 'group_wait: 1s'],
      ['group_interval: 5m', 'group_interval: 2s'],
    ]);
    derive('roundsman.rules.yml', dir, [[/\bfor: (\d+)m$/gm, 'for: $1s']]);
    const scraping = derive('prometheus.example.yml', dir, [
      ['scrape_interval: 30s', `scrape_interval: ${everySeconds}s`],
      ['evaluation_interval: 30s', `evaluation_interval: ${everySeconds}s`],
      ['scrape_timeout: 20s', `scrape_timeout: ${everySeconds}s`],
      ['127.0.0.1:9093', alertmanager],
      ['"127.0.0.1:9724"', targets.map((target) => `"${target}"`).join(', ')],
    ]);
    this.#alertmanager = new Running(programs.alertmanager, [
      `--config.file=${routing}`,
      `--storage.path=${join(dir, 'alertmanager')}`,
      `--web.listen-address=${alertmanager}`,
      '--cluster.listen-address=',
      '--log.level=warn',
    ]);
    this.#prometheus = new Running(programs.prometheus, [
      `--config.file=${scraping}`,
      `--storage.tsdb.path=${join(dir, 'prometheus')}`,
      `--web.listen-address=${prometheus}`,
      '--log.level=warn',
    ]);
    await this.#ready(this.#alertmanager, this.#alertmanagerUrl);
    await this.#ready(this.#prometheus, this.#prometheusUrl);
  }

  async stop(): Promise<void> {
    await this.#prometheus?.stop();
    await this.#alertmanager?.stop();
    const webhook = this.#webhook;
    if (webhook === null) return;
    webhook.closeAllConnections();
    await new Promise((resolve) => webhook.close(resolve));
  }

  /** What an instant query yields now. */
  async query(query: string): Promise<Sample[]> {
    const { result } = await this.#ask('query', { query });
    return (result as { metric: Sample['metric']; value: [number, string] }[]).map(({ metric, value }) => ({
      metric,
      value: Number(value[1]),
    }));
  }

  /** The only number that a query yields; null where there is none. */
  async value(query: string): Promise<number | null> {
    const samples = await this.query(query);
    if (samples.length > 1) throw new Error(`${query}: ${samples.length} samples`);
    return samples[0]?.value ?? null;
  }

  /** Alerts of this name that are pending or firing now, with these labels. */
  async alerts(alertname: string, labels: Readonly<Record<string, string>> = {}): Promise<PendingOrFiring[]> {
    const { alerts } = await this.#ask('alerts', {});
    const wanted = Object.entries({ alertname, ...labels });
    return (alerts as PendingOrFiring[]).filter((alert) =>
      wanted.every(([name, value]) => alert.labels[name] === value),
    );
  }

  async firing(alertname: string, labels: Readonly<Record<string, string>> = {}): Promise<PendingOrFiring[]> {
    return (await this.alerts(alertname, labels)).filter(({ state }) => state === 'firing');
  }

  /**
   * At how many evaluations since it first fired this alert fired, and how many there were until now. A series
   * ends with the evaluation at which its alert does not fire any more, so equal numbers mean: without a break.
   */
  async unbroken(alertname: string, labels: Readonly<Record<string, string>>) {
    const matchers = Object.entries({ alertname, alertstate: 'firing', ...labels });
    const query = `ALERTS{${matchers.map(([name, value]) => `${name}="${value}"`).join(',')}}`;
    const end = Math.floor(Date.now() / 1000);
    const { result } = await this.#ask('query_range', {
      query,
      start: String(end - 600),
      end: String(end),
      step: '1',
    });
    const [series, ...others] = result as { values: [number, string][] }[];
    if (others.length > 0) throw new Error(`${query}: ${others.length + 1} alerts`);
    const first = series?.values[0]?.[0] ?? end + 1;
    return { fired: series?.values.length ?? 0, of: end - first + 1 };
  }

  /** How Alertmanager treats an alert: `active`, or `suppressed` by a larger one; null where it has none. */
  async treated(labels: Readonly<Record<string, string>>): Promise<string | null> {
    const filters = new URLSearchParams();
    for (const [name, value] of Object.entries(labels)) filters.append('filter', `${name}="${value}"`);
    const answer = await fetch(`${this.#alertmanagerUrl}/api/v2/alerts?${filters}`);
    const alerts = (await answer.json()) as { status: { state: string } }[];
    return alerts[0]?.status.state ?? null;
  }

  /** What somebody was told of an alert, in order. */
  told(alertname: string, labels: Readonly<Record<string, string>>): Notice[] {
    const wanted = Object.entries({ alertname, ...labels });
    return this.notices.filter((notice) => wanted.every(([name, value]) => notice.labels[name] === value));
  }

  /** What the programs complained about. */
  get complaints(): string {
    return `${this.#prometheus?.stderr ?? ''}${this.#alertmanager?.stderr ?? ''}`;
  }

  async #ready(program: Running, url: string): Promise<void> {
    await until(
      `${url} is ready`,
      async () => {
        if (!program.alive) throw new Error(`it ended: ${program.stderr}`);
        return (await fetch(`${url}/-/ready`).catch(() => null))?.status === 200;
      },
      30_000,
      () => program.stderr,
    );
  }

  async #ask(path: string, parameters: Record<string, string>): Promise<Record<string, unknown>> {
    const answer = await fetch(`${this.#prometheusUrl}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const { data, error } = (await answer.json()) as { data?: Record<string, unknown>; error?: string };
    if (data === undefined) throw new Error(`${path}: ${error}`);
    return data;
  }

  /** Takes every notification. Resolves to `127.0.0.1:PORT`. */
  async #listen(): Promise<string> {
    const server = createHttpServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      request.on('end', () => {
        const path = request.url ?? '';
        const { alerts } = JSON.parse(body) as { alerts: Omit<Notice, 'path'>[] };
        for (const { status, labels, startsAt } of alerts)
          this.notices.push({ path, status, labels, startsAt });
        response.end();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#webhook = server;
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
}
