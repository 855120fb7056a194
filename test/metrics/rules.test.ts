import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { metricsPage } from '../../scripts/metrics-page.ts';
import { type Definition, definitions, everyMetric } from '../../src/metrics/definitions.ts';
import { describeWith } from '../support/system.ts';
import { commandNames } from './commands.ts';
import { alerts, cases, prometheusDir, root, rules, textOf, unknownNames } from './promql.ts';

const names = alerts.map(({ alert }) => alert);

/** Not in the way of the event loop: one of these takes half a minute. */
function run(program: string, args: readonly string[]): Promise<{ status: number; output: string }> {
  return new Promise((done) => {
    const child = execFile(program, args, { cwd: prometheusDir }, (_, stdout, stderr) =>
      done({ status: child.exitCode ?? -1, output: stdout + stderr }),
    );
  });
}

describe('alert rules', () => {
  it.each(alerts)('$alert says who is concerned, what it is and where its page lies', (rule) => {
    const { alert, labels, annotations } = rule;
    expect(['critical', 'warning', 'none']).toContain(labels?.severity);
    expect(Object.keys(annotations ?? {}).sort()).toEqual(['description', 'runbook_url', 'summary']);
    expect(annotations?.runbook_url).toMatch(new RegExp(`/docs/runbooks/${alert}\\.md$`));
    expect(existsSync(`${root}docs/runbooks/${alert}.md`)).toBe(true);
  });

  it.each(alerts)('$alert has a case that fires it and one that does not', ({ alert }) => {
    const checks = cases.flatMap((one) => one.alert_rule_test).filter((check) => check.alertname === alert);
    expect(checks.some(({ exp_alerts }) => exp_alerts.length > 0)).toBe(true);
    // The watchdog has no state in which it does not fire.
    if (alert !== 'ConfigBackupWatchdog') {
      expect(checks.some(({ exp_alerts }) => exp_alerts.length === 0)).toBe(true);
    }
  });

  it('use only metrics that exist', () => {
    expect(rules.flatMap(({ expr }) => unknownNames(expr))).toEqual([]);
    expect(unknownNames(textOf('config/prometheus/roundsman.tests.yml'))).toEqual([]);
  });

  it('see a metric that does not exist', () => {
    expect(unknownNames('sum(roundsman_backup_runs_totals)')).toEqual(['roundsman_backup_runs_totals']);
    expect(unknownNames('job:roundsman_nothing:sum > 1')).toEqual(['job:roundsman_nothing:sum']);
    expect(unknownNames('rate(roundsman_backup_duration_seconds[5m])')).toHaveLength(1);
  });

  it('read no series of a device that `device_detail: minimal` leaves out', () => {
    const lost = Object.entries<Definition>(definitions).filter(([, { perDevice }]) => perDevice === 'full');
    for (const [name] of lost) {
      expect(
        rules.filter(({ expr }) => new RegExp(`\\b${name}\\b`).test(expr)).map(({ alert }) => alert),
      ).toEqual([]);
    }
  });

  it('name error codes that exist', () => {
    const matchers = rules.flatMap(({ expr }) => [...expr.matchAll(/reason=(~?)"([^"]+)"/g)]);
    expect(matchers.length).toBeGreaterThan(1);
    const codes = definitions.roundsman_backup_attempt_failures_total.labels.reason;
    for (const [, , pattern = ''] of matchers) {
      expect(
        codes.some((code) => new RegExp(`^(?:${pattern})$`).test(code)),
        pattern,
      ).toBe(true);
    }
  });
});

describe('runbooks', () => {
  it('are one page for each alert and no more', () => {
    const pages = readdirSync(`${root}docs/runbooks`).map((file) => file.replace(/\.md$/, ''));
    expect(pages.sort()).toEqual([...names].sort());
  });

  it.each(names)(
    '%s has its parts, its severity, links that lead somewhere and commands that exist',
    (alert) => {
      const text = textOf(`docs/runbooks/${alert}.md`);
      expect(text.match(/^#+ .*/gm)).toEqual([
        `# ${alert}`,
        '## What it means',
        '## Look at',
        '## Do',
        '## Escalate',
      ]);
      const severity = alerts.find((rule) => rule.alert === alert)?.labels?.severity;
      expect(text).toContain(`Severity: ${severity}.`);
      for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)\)/g)) {
        expect(existsSync(`${root}docs/runbooks/${target}`), target).toBe(true);
      }
      for (const [, command = ''] of text.matchAll(/(?:^|`)roundsman ([a-z]+)/gm)) {
        expect(commandNames(), command).toContain(command);
      }
      expect(unknownNames(text)).toEqual([]);
    },
  );
});

describe('docs/metrics.md', () => {
  it('documents every metric and no other', () => {
    const rows = [...metricsPage().matchAll(/^\| `(roundsman_\w+)` \|/gm)].map((match) => match[1]);
    expect(rows.sort()).toEqual(
      everyMetric()
        .map(([name]) => name)
        .sort(),
    );
  });

  it('lists every value of a short closed list', () => {
    expect(metricsPage()).toContain('`collector_down` `overload` `overlap` `paused` `clock`');
  });
});

describeWith('promtool', 'promtool', (promtool) => {
  it('check rules --lint=all finds nothing', async () => {
    const { status, output } = await run(promtool, ['check', 'rules', '--lint=all', 'roundsman.rules.yml']);
    expect([status, output]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });

  it('check config takes the example', async () => {
    const { status, output } = await run(promtool, ['check', 'config', 'prometheus.example.yml']);
    expect([status, output]).toEqual([0, expect.not.stringContaining('FAILED')]);
  });

  // Three days in steps of two minutes, with every rule in each: minutes of a busy machine.
  it('test rules passes every case', { timeout: 300_000 }, async () => {
    const { status, output } = await run(promtool, ['test', 'rules', 'roundsman.tests.yml']);
    expect([status, output]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });
});

describeWith('amtool', 'amtool', (amtool) => {
  const config = 'alertmanager.example.yml';
  const receiver = async (labels: readonly string[]): Promise<string> =>
    (await run(amtool, ['config', 'routes', 'test', `--config.file=${config}`, ...labels])).output;

  it('check-config takes the example', async () => {
    expect(await run(amtool, ['check-config', config])).toEqual({
      status: 0,
      output: expect.stringContaining('SUCCESS'),
    });
  });

  it.each(alerts)('$alert reaches whom it concerns', async ({ alert, labels }) => {
    const severity = labels?.severity ?? '';
    const expected = { critical: 'on-call', warning: 'network-team', none: 'dead-man-switch' }[severity];
    expect(await receiver([`alertname=${alert}`, `severity=${severity}`, 'job=roundsman'])).toContain(
      expected,
    );
  });

  it('holds alerts on single devices back while a larger one fires', () => {
    const text = textOf(`config/prometheus/${config}`);
    const inhibiting = text.match(/source_matchers: \['alertname =~ "([^"]+)"'\]/)?.[1]?.split('|') ?? [];
    expect(inhibiting).toEqual(['ConfigBackupManyOverdue', 'ConfigBackupCollectorDown']);
    for (const name of inhibiting) expect(names).toContain(name);
  });
});
