import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { Failure } from '../../src/core/errors.ts';
import type { RunEnded, Settled } from '../../src/core/run.ts';
import { commitFailureReason } from '../../src/metrics/counters.ts';
import { definitions, everyMetric } from '../../src/metrics/definitions.ts';
import { deviceSlices, linesPerSlice } from '../../src/metrics/gauges.ts';
import { createMetrics } from '../../src/metrics/render.ts';
import type { DeviceGauges } from '../../src/metrics/source.ts';
import { describeWith } from '../support/system.ts';
import { declared, device, midnightMs, options, sampleValue } from './fleet.ts';

const fleet = [
  device('fw1'),
  device('fw2', { lastAttemptOk: false, state: 'failing', failureCode: 'connect.timeout' }),
  device('lb-new', {
    platform: 'f5_bigip',
    lastAttemptMs: null,
    lastAttemptOk: false,
    lastSuccessMs: null,
    lastChangeMs: null,
    configBytes: null,
    lastDurationMs: null,
    restorable: null,
    state: 'never',
  }),
  device('old', {
    enabled: false,
    state: 'disabled',
    nextRunMs: null,
    dueMs: null,
    expectedIntervalMs: null,
    restorable: 'partial',
  }),
];

function metricsOf(devices: readonly DeviceGauges[] = fleet) {
  return createMetrics(options(() => devices));
}

function ended(settled: Settled, trigger: RunEnded['trigger'] = 'schedule'): RunEnded {
  return {
    runId: 'r1',
    device: 'fw1',
    group: 'hq',
    platform: 'cisco_asa',
    trigger,
    startedAtMs: midnightMs,
    endedAtMs: midnightMs + 7_000,
    settled,
    restorable: null,
    restorableBecause: null,
    artefacts: [],
    unsaved: null,
    archives: [],
    stack: null,
  };
}

const timeout: Failure = {
  code: 'connect.timeout',
  detail: { host: '192.0.2.1', port: 22, afterMs: 15_000 },
};
const changed: Settled = { outcome: 'changed', commit: 'c1', addedLines: 1, removedLines: 0, changed: [] };

describe('what /metrics answers', () => {
  it('declares every metric of the definitions exactly once and no other of ours', async () => {
    const names = declared(await metricsOf().render());
    expect(names.filter((name) => name.startsWith('roundsman_')).sort()).toEqual(
      everyMetric()
        .map(([name]) => name)
        .sort(),
    );
    expect(new Set(names).size).toBe(names.length);
  });

  it('counts what was read under new rules apart from what changed', async () => {
    const metrics = metricsOf();
    metrics.runEnded(ended({ ...changed, underNewRules: true }));
    const text = await metrics.render();
    expect(sampleValue(text, 'roundsman_backup_rereads_total{platform="cisco_asa"}')).toBe(1);
    expect(sampleValue(text, 'roundsman_backup_changes_total{platform="cisco_asa"}')).toBe(0);
  });

  it('has the labels of the definitions and no others', async () => {
    const metrics = metricsOf();
    metrics.runEnded(ended(changed));
    for (const line of (await metrics.render()).split('\n')) {
      const match = /^(roundsman_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? /.exec(line);
      if (match === null) continue;
      const name = (line.match(/^\w+/)?.[0] ?? '') in definitions ? line.match(/^\w+/)?.[0] : match[1];
      const labels = [...(match[2] ?? '').matchAll(/(\w+)="/g)].map((found) => found[1] ?? '');
      expect([name, labels.filter((label) => label !== 'le')], line).toEqual([
        name,
        Object.keys(definitions[name as keyof typeof definitions].labels),
      ]);
    }
  });

  it('says of a device what the ledger knows', async () => {
    const text = await metricsOf().render();
    expect(sampleValue(text, 'roundsman_device_info{device="fw1",platform="cisco_asa",group="hq"}')).toBe(1);
    expect(sampleValue(text, 'roundsman_device_last_success_timestamp_seconds{device="fw1"}')).toBe(
      midnightMs / 1_000,
    );
    expect(sampleValue(text, 'roundsman_device_config_size_bytes{device="fw1"}')).toBe(48_211);
    expect(sampleValue(text, 'roundsman_device_last_duration_seconds{device="fw1"}')).toBe(4.25);
    expect(sampleValue(text, 'roundsman_device_state{device="fw1",state="ok"}')).toBe(1);
    expect(sampleValue(text, 'roundsman_device_state{device="fw1",state="missed"}')).toBe(0);
    expect(sampleValue(text, 'roundsman_device_restorable{device="fw1"}')).toBe(1);
    expect(sampleValue(text, 'roundsman_device_restorable{device="old"}')).toBe(0.5);
    expect(sampleValue(text, 'roundsman_inventory_devices{platform="cisco_asa"}')).toBe(2);
    expect(sampleValue(text, 'roundsman_inventory_devices_disabled{platform="cisco_asa"}')).toBe(1);
    expect(sampleValue(text, 'roundsman_inventory_devices{platform="fortinet_fortigate"}')).toBe(0);
  });

  it('says 0 for never', async () => {
    const text = await metricsOf().render();
    expect(sampleValue(text, 'roundsman_device_last_success_timestamp_seconds{device="lb-new"}')).toBe(0);
    expect(sampleValue(text, 'roundsman_device_last_attempt_successful{device="lb-new"}')).toBe(0);
    expect(sampleValue(text, 'roundsman_git_last_commit_timestamp_seconds')).toBe(0);
    expect(sampleValue(text, 'roundsman_spool_oldest_timestamp_seconds')).toBe(0);
  });

  it('expects nothing of a disabled device: a due time of 0 would be overdue for ever', async () => {
    const text = await metricsOf().render();
    expect(sampleValue(text, 'roundsman_device_backup_due_timestamp_seconds{device="old"}')).toBeNull();
    expect(sampleValue(text, 'roundsman_device_next_run_timestamp_seconds{device="old"}')).toBeNull();
    expect(sampleValue(text, 'roundsman_device_enabled{device="old"}')).toBe(0);
  });

  it('gives the reason of a failure only while the last attempt is one', async () => {
    const text = await metricsOf().render();
    expect(text.match(/^roundsman_device_last_failure_info\{.*$/gm)).toEqual([
      'roundsman_device_last_failure_info{device="fw2",reason="connect.timeout"} 1',
    ]);
  });

  it('tells of unsaved changes only where the device does', async () => {
    const text = await metricsOf([
      device('fw1', { unsaved: true }),
      device('fw2', { unsaved: false }),
      device('fw3', { unsaved: null }),
    ]).render();
    expect(sampleValue(text, 'roundsman_device_unsaved_changes{device="fw1"}')).toBe(1);
    expect(sampleValue(text, 'roundsman_device_unsaved_changes{device="fw2"}')).toBe(0);
    expect(sampleValue(text, 'roundsman_device_unsaved_changes{device="fw3"}')).toBeNull();
  });

  it('tells of the archives that the inventory asks for', async () => {
    const ucs = { name: 'ucs', lastSuccessMs: midnightMs, lastAttemptOk: false, dueMs: midnightMs + 1_000 };
    const never = { name: 'scf', lastSuccessMs: null, lastAttemptOk: null, dueMs: null };
    const text = await metricsOf([device('lb1', { archives: [ucs, never] }), device('fw1')]).render();
    const value = (name: string, archive: string) =>
      sampleValue(text, `roundsman_archive_${name}{device="lb1",archive="${archive}"}`);
    expect(value('last_success_timestamp_seconds', 'ucs')).toBe(midnightMs / 1_000);
    expect(value('last_attempt_successful', 'ucs')).toBe(0);
    expect(value('due_timestamp_seconds', 'ucs')).toBe(midnightMs / 1_000 + 1);
    expect(value('last_success_timestamp_seconds', 'scf')).toBe(0);
    expect(value('last_attempt_successful', 'scf')).toBeNull();
    expect(value('due_timestamp_seconds', 'scf')).toBeNull();
    expect(text).not.toMatch(/roundsman_archive_\w+\{device="fw1"/);
  });

  it('forgets a device that left the inventory at the next scrape', async () => {
    let devices = fleet;
    const metrics = createMetrics(options(() => devices));
    expect(await metrics.render()).toContain('device="fw2"');
    devices = fleet.filter(({ name }) => name !== 'fw2');
    const text = await metrics.render();
    expect(text).not.toContain('device="fw2"');
    expect(text).toContain('device="fw1"');
  });

  it('escapes what a label cannot hold', async () => {
    const text = await metricsOf([device('a"b\\c\nd')]).render();
    expect(text).toContain('roundsman_device_enabled{device="a\\"b\\\\c\\nd"} 1\n');
  });

  it('gives only what the alert rules read where detail is minimal', async () => {
    const text = await createMetrics(options(() => fleet, { deviceDetail: 'minimal' })).render();
    const expected = everyMetric().filter(([, { perDevice }]) => perDevice !== 'full');
    expect(declared(text).filter((name) => name.startsWith('roundsman_'))).toHaveLength(expected.length);
    expect(text.match(/^roundsman_device_state\{device="fw1".*$/gm)).toEqual([
      'roundsman_device_state{device="fw1",state="quarantined"} 0',
    ]);
  });

  it('has the numbers of the process beside its own', async () => {
    const names = declared(await metricsOf().render());
    expect(names).toContain('nodejs_eventloop_lag_p99_seconds');
    expect(names).toContain('process_resident_memory_bytes');
  });

  it('is text format 0.0.4', () => {
    expect(metricsOf().contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  it('fails where the source fails, and not half', async () => {
    const failing = createMetrics(
      options(() => {
        throw new Error('the ledger is closed');
      }),
    );
    await expect(failing.render()).rejects.toThrow('the ledger is closed');
  });
});

describe('remotes', () => {
  it('each have their commits that are missing, their last push, and why it fails while it does', async () => {
    const { source } = options(() => []);
    const remotes = [
      { name: 'mirror', unpushed: 3, lastSuccessMs: midnightMs, failure: 'diverged' },
      { name: 'hosted', unpushed: 0, lastSuccessMs: null, failure: null },
      { name: 'broken', unpushed: null, lastSuccessMs: null, failure: null },
    ] as const;
    const collector = async () => ({ ...(await source.collector()), remotes });
    const text = await createMetrics(options(() => [], { source: { ...source, collector } })).render();
    const value = (metric: string, remote: string) =>
      sampleValue(text, `roundsman_git_${metric}{remote="${remote}"}`);
    expect([value('unpushed_commits', 'mirror'), value('unpushed_commits', 'hosted')]).toEqual([3, 0]);
    expect(value('unpushed_commits', 'broken')).toBeNull();
    expect(value('last_push_success_timestamp_seconds', 'mirror')).toBe(midnightMs / 1_000);
    expect(value('last_push_success_timestamp_seconds', 'hosted')).toBe(0);
    const failing = text
      .split('\n')
      .filter((line) => line.startsWith('roundsman_git_last_push_failure_info{'));
    expect(failing).toEqual(['roundsman_git_last_push_failure_info{remote="mirror",reason="diverged"} 1']);
  });
});

describe('counters', () => {
  it('count the failure of an archive apart, from 0, for archives that a platform has', async () => {
    const metrics = metricsOf();
    const failed =
      'roundsman_archive_failures_total{platform="f5_bigip",archive="ucs",reason="store.disk-full"}';
    expect(sampleValue(await metrics.render(), failed)).toBe(0);
    expect(await metrics.render()).not.toContain('roundsman_archive_failures_total{platform="cisco_asa"');
    const failure: Failure = { code: 'store.disk-full', detail: { path: '/', freeBytes: 0 } };
    metrics.runEnded({
      ...ended(changed),
      platform: 'f5_bigip',
      archives: [
        { name: 'ucs', bytes: null, failure },
        { name: 'scf', bytes: 10, failure: null },
      ],
    });
    const text = await metrics.render();
    expect(sampleValue(text, failed)).toBe(1);
    expect(text.match(/^roundsman_archive_failures_total\{.*\} [1-9]/gm)).toHaveLength(1);
  });

  it('begin at 0 for every combination of known label values', async () => {
    const text = await metricsOf().render();
    expect(sampleValue(text, 'roundsman_backup_missed_total{cause="collector_down"}')).toBe(0);
    expect(
      sampleValue(text, 'roundsman_backup_run_failures_total{platform="f5_bigip",reason="login.rejected"}'),
    ).toBe(0);
    expect(sampleValue(text, 'roundsman_backup_runs_total{platform="f5_bigip",trigger="catch-up"}')).toBe(0);
    expect(sampleValue(text, 'roundsman_git_commits_total')).toBe(0);
    expect(sampleValue(text, 'roundsman_backup_stage_duration_seconds_count{stage="queue"}')).toBe(0);
    expect(sampleValue(text, 'roundsman_backup_duration_seconds_bucket{le="30",platform="cisco_asa"}')).toBe(
      0,
    );
  });

  it('go on from the totals of the ledger, so that a restart hides nothing', async () => {
    const metrics = metricsOf();
    metrics.seed({
      runs: [{ platform: 'cisco_asa', trigger: 'schedule', count: 4_000 }],
      failures: [{ platform: 'cisco_asa', reason: 'connect.timeout', count: 12 }],
      missed: [{ cause: 'collector_down', count: 500 }],
    });
    metrics.slotsMissed('collector_down', 3);
    metrics.runEnded(ended({ outcome: 'failed', failure: timeout }));
    const text = await metrics.render();
    expect(sampleValue(text, 'roundsman_backup_missed_total{cause="collector_down"}')).toBe(503);
    expect(sampleValue(text, 'roundsman_backup_missed_total{cause="overload"}')).toBe(0);
    expect(sampleValue(text, 'roundsman_backup_runs_total{platform="cisco_asa",trigger="schedule"}')).toBe(
      4_001,
    );
    expect(
      sampleValue(text, 'roundsman_backup_run_failures_total{platform="cisco_asa",reason="connect.timeout"}'),
    ).toBe(13);
  });

  it('count a run by how it ended', async () => {
    const metrics = metricsOf();
    metrics.runEnded(ended(changed));
    metrics.runEnded(ended({ outcome: 'unchanged', commit: 'c1' }, 'manual'));
    metrics.runEnded(
      ended({ outcome: 'failed', failure: { code: 'record.failed', detail: { problem: 'disk' } } }),
    );
    metrics.runEnded(
      ended({
        outcome: 'quarantined',
        failure: {
          code: 'verify.prefix',
          detail: { artefact: 'running-config', previousObjects: 9, objects: 4 },
        },
      }),
    );
    const text = await metrics.render();
    expect(sampleValue(text, 'roundsman_backup_runs_total{platform="cisco_asa",trigger="schedule"}')).toBe(3);
    expect(sampleValue(text, 'roundsman_backup_runs_total{platform="cisco_asa",trigger="manual"}')).toBe(1);
    expect(sampleValue(text, 'roundsman_backup_changes_total{platform="cisco_asa"}')).toBe(1);
    expect(sampleValue(text, 'roundsman_audit_write_failures_total')).toBe(1);
    expect(
      sampleValue(text, 'roundsman_backup_quarantined_total{platform="cisco_asa",reason="verify.prefix"}'),
    ).toBe(1);
    expect(
      sampleValue(
        text,
        'roundsman_backup_rejected_outputs_total{platform="cisco_asa",check="verify.prefix"}',
      ),
    ).toBe(1);
    expect(sampleValue(text, 'roundsman_backup_duration_seconds_count{platform="cisco_asa"}')).toBe(4);
    expect(sampleValue(text, 'roundsman_backup_duration_seconds_sum{platform="cisco_asa"}')).toBe(28);
  });

  it('count each session apart from its run, and an output that was refused', async () => {
    const metrics = metricsOf();
    const incomplete: Failure = {
      code: 'verify.incomplete',
      detail: { artefact: 'running-config', because: 'no end', lines: 3 },
    };
    for (const failure of [timeout, incomplete, null]) {
      metrics.attemptStarted('cisco_asa');
      metrics.attemptEnded({ platform: 'cisco_asa', failure, receivedBytes: failure === timeout ? 0 : 100 });
    }
    const text = await metrics.render();
    expect(sampleValue(text, 'roundsman_backup_attempts_total{platform="cisco_asa"}')).toBe(3);
    expect(
      sampleValue(
        text,
        'roundsman_backup_attempt_failures_total{platform="cisco_asa",reason="connect.timeout"}',
      ),
    ).toBe(1);
    expect(
      sampleValue(
        text,
        'roundsman_backup_rejected_outputs_total{platform="cisco_asa",check="verify.incomplete"}',
      ),
    ).toBe(1);
    expect(sampleValue(text, 'roundsman_backup_bytes_total{platform="cisco_asa"}')).toBe(200);
  });

  it('are told of everything else that the sink knows', async () => {
    const metrics = metricsOf();
    metrics.runStarted(-5);
    metrics.stage('collect', 2_500);
    metrics.committed(3, 40);
    metrics.commitFailed({ code: 'store.disk-full', detail: { path: '/x', freeBytes: 0 } });
    metrics.staleLocksRemoved(2);
    metrics.clockJumped();
    metrics.auditWriteFailed();
    metrics.logged('warn');
    metrics.logDropped('console');
    metrics.syslogMessage('udp', 'unknown');
    metrics.syslogDropped(7);
    metrics.syslogRefused('tls');
    metrics.changeEvent('cisco_asa', 'own');
    const text = await metrics.render();
    const expected: Readonly<Record<string, number>> = {
      roundsman_scheduler_start_delay_seconds_sum: 0,
      roundsman_scheduler_start_delay_seconds_count: 1,
      'roundsman_backup_stage_duration_seconds_sum{stage="collect"}': 2.5,
      roundsman_git_commits_total: 3,
      roundsman_git_commit_duration_seconds_count: 3,
      'roundsman_git_commit_failures_total{reason="no_space"}': 1,
      roundsman_git_stale_locks_removed_total: 2,
      roundsman_scheduler_clock_jumps_total: 1,
      roundsman_audit_write_failures_total: 1,
      'roundsman_log_records_total{level="warn"}': 1,
      'roundsman_log_dropped_total{sink="console"}': 1,
      'roundsman_syslog_messages_total{transport="udp",result="unknown"}': 1,
      roundsman_syslog_dropped_total: 7,
      'roundsman_syslog_connections_refused_total{transport="tls"}': 1,
      'roundsman_change_events_total{platform="cisco_asa",result="own"}': 1,
    };
    for (const [series, value] of Object.entries(expected))
      expect([series, sampleValue(text, series)]).toEqual([series, value]);
  });

  it.each([
    ['fatal: unable to write new index file: No space left on device', 'no_space'],
    ["fatal: Unable to create '/x/refs/heads/main.lock': File exists.", 'lock'],
    ['error: object file .git/objects/ab/cd is empty; fatal: loose object abcd is corrupt', 'corrupt'],
    ['ssh: connect to host: Connection timed out', 'timeout'],
    ['remote: error: hook declined to update refs/heads/main', 'hook'],
    ['fatal: something else', 'other'],
  ])('git says %j: %s', (stderr, reason) => {
    expect(
      commitFailureReason({ code: 'store.git-failed', detail: { command: 'git', exitCode: 128, stderr } }),
    ).toBe(reason);
  });
});

describe('ten thousand devices', () => {
  const many = Array.from({ length: 10_000 }, (_, n) =>
    device(`fw${n}`, n % 7 === 0 ? { failureCode: 'login.rejected', state: 'failing' } : {}),
  );

  it('are written in slices of a bounded number of lines, with nothing lost between them', () => {
    const slices = [...deviceSlices(many, 'full')];
    // A heading is two lines more.
    const longest = Math.max(...slices.map((slice) => slice.split('\n').length - 1));
    expect(longest).toBeLessThanOrEqual(linesPerSlice + 2);
    const lines = slices.join('').split('\n');
    expect(lines.filter((line) => line.startsWith('roundsman_device_enabled{'))).toHaveLength(10_000);
    expect(lines.filter((line) => line.startsWith('roundsman_device_state{'))).toHaveLength(70_000);
    expect(lines.filter((line) => line.startsWith('roundsman_device_last_failure_info{'))).toHaveLength(
      1_429,
    );
  });

  it('let it turn between what the collector and what the devices are asked', async () => {
    const said = options(() => []);
    const order: string[] = [];
    const source = {
      async collector() {
        setImmediate(() => order.push('others'));
        order.push('collector');
        return said.source.collector();
      },
      async devices() {
        order.push('devices');
        return said.source.devices();
      },
    };
    await createMetrics({ ...said, source }).render();
    expect(order).toEqual(['collector', 'others', 'devices']);
  });

  it('let the event loop turn after every slice', async () => {
    const metrics = metricsOf(many);
    let turns = 0;
    let rendering = true;
    const count = (): void => {
      turns += 1;
      if (rendering) setImmediate(count);
    };
    setImmediate(count);
    await metrics.render();
    rendering = false;
    expect(turns).toBeGreaterThanOrEqual([...deviceSlices(many, 'full')].length);
  });
});

describeWith('promtool', 'promtool check metrics', (promtool) => {
  it.each(['full', 'minimal'] as const)('accepts it, names and all (%s)', async (deviceDetail) => {
    const metrics = createMetrics(options(() => fleet, { deviceDetail }));
    metrics.runEnded(ended(changed));
    const input = await metrics.render();
    const checked = spawnSync(promtool, ['check', 'metrics'], { input, encoding: 'utf8' });
    expect(checked.stderr + checked.stdout).toBe('');
    expect(checked.status).toBe(0);
  });

  it('refuses what is wrong', () => {
    const input = '# HELP a_total x\n# TYPE a_total gauge\na_total 1\n';
    expect(spawnSync(promtool, ['check', 'metrics'], { input }).status).not.toBe(0);
  });
});
