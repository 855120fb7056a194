import { comparedSides } from '../cli/commands/diff.ts';
import { versionsJson } from '../cli/commands/log.ts';
import { runJson } from '../cli/commands/runs.ts';
import { shownText } from '../cli/commands/show.ts';
import { statusJson } from '../cli/commands/status.ts';
import { stringify } from '../cli/json.ts';
import { principalArtefact } from '../cli/revision.ts';
import { checkNames, known, select, selectEnabled, selectKnown } from '../cli/select.ts';
import type { RunEntry, Services } from '../cli/services.ts';
import { parseTime } from '../cli/time.ts';
import type { Clock } from '../core/clock.ts';
import { OperationError } from '../core/errors.ts';
import type { Api } from '../http/sources.ts';
import type { Log } from './log.ts';

export interface ApiHands {
  readonly services: Services;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether secrets are masked in what git holds, as the settings say now. */
  readonly masked: () => Promise<boolean>;
}

/** The API on what the commands are made from: same names, same errors, same JSON. */
export function createApi({ services, clock, log, masked }: ApiHands): Api {
  /** Devices whose run was asked for here and has not ended. */
  const waiting = new Set<string>();

  async function read(devices: readonly string[]): Promise<void> {
    try {
      await services.backup(devices, {
        signal: new AbortController().signal,
        onEvent: (event) => {
          if (event.type === 'ended') waiting.delete(event.ended.device);
        },
      });
    } catch (error) {
      log.unexpected('a backup that was asked for over HTTP did not begin', error);
    } finally {
      for (const device of devices) waiting.delete(device);
    }
  }

  async function shown(device: string): Promise<string> {
    if (!(await masked()))
      throw new OperationError(
        'secrets are in the texts (`secrets.in_git` is keep), so they are not given over HTTP',
        `use the command line: \`roundsman show ${device}\``,
      );
    return known(await services.fleet(), device);
  }

  return {
    async status(devices) {
      const all = await services.status(selectKnown(await services.fleet(), devices));
      return stringify(all.map(statusJson));
    },
    async runs({ devices, states, since, until }) {
      const nowMs = clock.nowMs();
      if (devices !== null) {
        const fleet = await services.fleet();
        checkNames(devices, [...fleet.devices.map(({ name }) => name), ...fleet.gone]);
      }
      const entries = await services.runs({
        devices,
        states: states as RunEntry['state'][] | null,
        sinceMs: since === null ? null : parseTime('since', since, nowMs),
        untilMs: until === null ? null : parseTime('until', until, nowMs),
      });
      return stringify(entries.map(runJson));
    },
    async versions(device, artefact) {
      const name = known(await services.fleet(), device);
      return stringify(await versionsJson(services, name, artefact ?? principalArtefact));
    },
    async text(device, artefact, revision) {
      const name = await shown(device);
      const { document } = await shownText(
        services,
        name,
        artefact ?? principalArtefact,
        revision ?? undefined,
      );
      return stringify(document);
    },
    async diff(device, artefact, [a, b]) {
      const name = await shown(device);
      const { document } = await comparedSides(services, name, artefact ?? principalArtefact, [
        a ?? undefined,
        b ?? undefined,
      ]);
      return stringify(document);
    },
    async backup(devices, by) {
      const names = selectEnabled(await services.fleet(), { names: devices }).map(({ name }) => name);
      const queued = names.filter((name) => !waiting.has(name));
      for (const name of queued) waiting.add(name);
      log.info('a backup was asked for', { by, devices: queued });
      if (queued.length > 0) void read(queued);
      return stringify({ queued, already_queued: names.filter((name) => !queued.includes(name)) });
    },
    async accept(device, runId, by) {
      const [one] = select(await services.fleet(), { names: [device] });
      const name = one?.name ?? device;
      const commit = await services.accept(name, runId, by);
      return stringify({ device: name, run_id: runId, commit });
    },
    async release(credential, by) {
      await services.release(credential, by);
      return stringify({ credential, released: true });
    },
  };
}
