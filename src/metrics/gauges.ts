import type { Restorable } from '../core/errors.ts';
import { type Definition, definitions, type MetricName, type NameOf } from './definitions.ts';
import { stateParts, states } from './labels.ts';
import type { ArchiveGauges, CollectorGauges, DeviceGauges } from './source.ts';
import { heading, labelText, sample } from './text.ts';

/** Which build answers. */
export interface Build {
  readonly version: string;
  /** Commit of the source; `unknown` where nobody said. */
  readonly revision: string;
  readonly nodeVersion: string;
}

/** `minimal`: per device only what the alert rules need. */
export type DeviceDetail = 'full' | 'minimal';

/** A gauge and its samples; a value of null is a series that is absent. */
type Family<Of> = readonly [
  name: NameOf<'gauge'>,
  samples: (of: Of) => readonly (readonly [labels: Readonly<Record<string, string>>, value: number | null])[],
];

/** Lines that are made at a stretch before the event loop gets its turn. */
export const linesPerSlice = 2_000;

/** The collector's own gauges: a few dozen lines. */
export function collectorText(
  view: CollectorGauges,
  devices: readonly DeviceGauges[],
  platforms: readonly string[],
  build: Build,
): string {
  const { inventory, credentials, scheduler, workers, spool, stateDir } = view;
  const counted = countByPlatform(devices, platforms);
  const one = (value: number | null) => [[{}, value]] as const;
  const families: readonly Family<null>[] = [
    [
      'roundsman_build_info',
      () => [
        [{ version: build.version, revision: build.revision, node_version: build.nodeVersion }, 1] as const,
      ],
    ],
    [
      'roundsman_inventory_devices',
      () => counted.map(([platform, { enabled }]) => [{ platform }, enabled] as const),
    ],
    [
      'roundsman_inventory_devices_disabled',
      () => counted.map(([platform, { disabled }]) => [{ platform }, disabled] as const),
    ],
    ['roundsman_inventory_last_reload_successful', () => one(flag(inventory.lastLoadOk))],
    [
      'roundsman_inventory_last_reload_success_timestamp_seconds',
      () => one(inventory.lastAcceptedMs / 1_000),
    ],
    ['roundsman_inventory_unpinned_host_keys', () => one(inventory.unpinnedHostKeys)],
    [
      'roundsman_ssh_weak_algorithms_devices',
      () => [...inventory.weakAlgorithms].map(([algorithm, count]) => [{ algorithm }, count] as const),
    ],
    ['roundsman_credentials_last_load_successful', () => one(flag(credentials.lastLoadOk))],
    [
      'roundsman_credentials_held_back',
      () => [...credentials.heldBack].map(([credential, held]) => [{ credential }, flag(held)] as const),
    ],
    ['roundsman_scheduler_last_tick_timestamp_seconds', () => one(scheduler.lastTickMs / 1_000)],
    ['roundsman_scheduler_queue_length', () => one(scheduler.queueLength)],
    ['roundsman_scheduler_oldest_queued_timestamp_seconds', () => one(since(scheduler.oldestQueuedMs))],
    ['roundsman_change_limited_devices', () => one(view.changesLimited)],
    ['roundsman_workers', () => one(workers.configured)],
    ['roundsman_workers_busy', () => one(workers.busy)],
    ['roundsman_git_last_commit_timestamp_seconds', () => one(since(view.lastCommitMs))],
    ['roundsman_git_last_fsck_success_timestamp_seconds', () => one(since(view.fsck?.lastCleanMs ?? null))],
    ['roundsman_git_fsck_errors', () => one(view.fsck?.problems ?? null)],
    [
      'roundsman_git_last_push_success_timestamp_seconds',
      () => view.remotes.map(({ name, lastSuccessMs }) => [{ remote: name }, since(lastSuccessMs)] as const),
    ],
    [
      'roundsman_git_unpushed_commits',
      () => view.remotes.map(({ name, unpushed }) => [{ remote: name }, unpushed] as const),
    ],
    [
      'roundsman_git_last_push_failure_info',
      () =>
        view.remotes.flatMap(({ name, failure }) =>
          failure === null ? [] : [[{ remote: name, reason: failure }, 1] as const],
        ),
    ],
    ['roundsman_spool_entries', () => one(spool.entries)],
    ['roundsman_spool_oldest_timestamp_seconds', () => one(since(spool.oldestMs))],
    ['roundsman_state_dir_free_bytes', () => one(stateDir.freeBytes)],
    [
      'roundsman_state_dir_size_bytes',
      () => stateParts.map((part) => [{ part }, stateDir.sizeBytes[part]] as const),
    ],
    ['roundsman_audit_chain_length', () => one(view.chainLength)],
  ];
  return families
    .map(
      ([name, samples]) =>
        headingOf(name) +
        samples(null)
          .map(([labels, value]) => (value === null ? '' : sample(name, labelText(labels), value)))
          .join(''),
    )
    .join('');
}

/** The families of one device, each with what it says of it. */
const perDevice: readonly Family<DeviceGauges>[] = [
  ['roundsman_device_info', (d) => [[{ device: d.name, platform: d.platform, group: d.group }, 1]]],
  ['roundsman_device_enabled', (d) => of(d, flag(d.enabled))],
  ['roundsman_device_last_attempt_timestamp_seconds', (d) => of(d, since(d.lastAttemptMs))],
  ['roundsman_device_last_attempt_successful', (d) => of(d, flag(d.lastAttemptOk))],
  ['roundsman_device_last_success_timestamp_seconds', (d) => of(d, since(d.lastSuccessMs))],
  ['roundsman_device_last_change_timestamp_seconds', (d) => of(d, since(d.lastChangeMs))],
  ['roundsman_device_next_run_timestamp_seconds', (d) => of(d, seconds(d.nextRunMs))],
  ['roundsman_device_backup_due_timestamp_seconds', (d) => of(d, seconds(d.dueMs))],
  ['roundsman_device_expected_interval_seconds', (d) => of(d, seconds(d.expectedIntervalMs))],
  ['roundsman_device_consecutive_failures', (d) => of(d, d.consecutiveFailures)],
  ['roundsman_device_config_size_bytes', (d) => of(d, d.configBytes ?? 0)],
  ['roundsman_device_last_duration_seconds', (d) => of(d, seconds(d.lastDurationMs))],
  [
    'roundsman_device_state',
    (d) => states.map((state) => [{ device: d.name, state }, flag(d.state === state)] as const),
  ],
  ['roundsman_device_restorable', (d) => of(d, restorableValue(d.restorable))],
  ['roundsman_device_unsaved_changes', (d) => of(d, d.unsaved === null ? null : flag(d.unsaved))],
  [
    'roundsman_device_last_failure_info',
    (d) => (d.failureCode === null ? [] : [[{ device: d.name, reason: d.failureCode }, 1]]),
  ],
  [
    'roundsman_archive_last_success_timestamp_seconds',
    (d) => ofArchives(d, ({ lastSuccessMs }) => since(lastSuccessMs)),
  ],
  [
    'roundsman_archive_last_attempt_successful',
    (d) => ofArchives(d, ({ lastAttemptOk }) => (lastAttemptOk === null ? null : flag(lastAttemptOk))),
  ],
  ['roundsman_archive_due_timestamp_seconds', (d) => ofArchives(d, ({ dueMs }) => seconds(dueMs))],
];

/**
 * The gauges of all devices in pieces of at most `linesPerSlice` lines and a heading, so that whoever
 * writes them can let others work in between: ten thousand devices are over 130 000 lines.
 */
export function* deviceSlices(devices: readonly DeviceGauges[], detail: DeviceDetail): Generator<string> {
  for (const [name, samples] of perDevice) {
    const definition: Definition = definitions[name];
    if (detail === 'minimal' && definition.perDevice !== 'minimal') continue;
    let slice = headingOf(name);
    let lines = 0;
    for (const device of devices) {
      for (const [labels, value] of samples(device)) {
        if (value === null || (detail === 'minimal' && !inMinimal(labels))) continue;
        slice += sample(name, labelText(labels), value);
        lines += 1;
      }
      if (lines + states.length <= linesPerSlice) continue;
      yield slice;
      slice = '';
      lines = 0;
    }
    if (slice !== '') yield slice;
  }
}

/** Seven states per device are most of what there is to save; an alert reads one of them. */
function inMinimal({ state = 'quarantined' }: Readonly<Record<string, string>>): boolean {
  return state === 'quarantined';
}

function headingOf(name: MetricName): string {
  const { type, help } = definitions[name];
  return heading(name, type, help);
}

function of({ name }: DeviceGauges, value: number | null) {
  return [[{ device: name }, value]] as const;
}

function ofArchives({ name, archives }: DeviceGauges, value: (archive: ArchiveGauges) => number | null) {
  return archives.map((archive) => [{ device: name, archive: archive.name }, value(archive)] as const);
}

function flag(is: boolean): number {
  return is ? 1 : 0;
}

/** An instant as Unix time; 0 stands for never. */
function since(ms: number | null): number {
  return ms === null ? 0 : ms / 1_000;
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1_000;
}

function restorableValue(restorable: Restorable | null): number {
  return restorable === 'yes' ? 1 : restorable === 'partial' ? 0.5 : 0;
}

function countByPlatform(devices: readonly DeviceGauges[], platforms: readonly string[]) {
  const counts = new Map(platforms.map((platform) => [platform, { enabled: 0, disabled: 0 }]));
  for (const { platform, enabled } of devices) {
    const count = counts.get(platform) ?? { enabled: 0, disabled: 0 };
    count[enabled ? 'enabled' : 'disabled'] += 1;
    counts.set(platform, count);
  }
  return [...counts];
}
