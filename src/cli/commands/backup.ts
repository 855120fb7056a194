import { describe } from '../../core/catalogue.ts';
import { quotable } from '../../core/display.ts';
import type { RunEnded } from '../../core/run.ts';
import { counted, duration, size } from '../../core/units.ts';
import { type Common, type Context, exitCodes } from '../context.ts';
import { problemLine } from '../errors.ts';
import { jsonFailure } from '../json.ts';
import type { Cli } from '../program.ts';
import { selectEnabled } from '../select.ts';
import { createProgress } from '../terminal/progress.ts';
import { remoteLines } from '../terminal/remotes.ts';

interface Options extends Common {
  readonly group?: string;
}

export function backup(cli: Cli): void {
  cli
    .command('backup', 'Reads devices now; all of them when none is named.', [
      'roundsman backup',
      'roundsman backup fw1 fw2',
      'roundsman backup --group hq --json',
    ])
    .argument('[names...]', 'devices of the inventory')
    .option('--group <group>', 'every device of this group')
    .action((names: string[], options: Options) =>
      cli.run(options, async (context) => {
        const { services, world } = context;
        const fleet = await services.fleet();
        const devices = selectEnabled(fleet, { names, group: options.group });
        context.remark(...fleet.warnings.map((warning) => `warning: ${problemLine(warning)}`));
        const startedMs = world.clock.monotonicMs();
        const progress = createProgress(devices.length, world.stderr, world.clock);
        let ended: readonly RunEnded[];
        try {
          ended = await services.backup(
            devices.map(({ name }) => name),
            {
              signal: world.signal,
              onEvent(event) {
                progress.event(event);
                if (event.type !== 'ended') return;
                if (context.json) progress.around(() => context.record(endedJson(event.ended)));
                else if (context.width !== null && event.ended.settled.outcome !== 'unchanged')
                  progress.around(() => context.print(endedLine(event.ended, context)));
              },
            },
          );
        } finally {
          progress.end();
        }
        if (!context.json) context.print(...summary(ended, world.clock.monotonicMs() - startedMs, context));
        // Devices decide the exit code: what they gave is stored. A daemon that stops meanwhile says no more of remotes.
        const remotes = await services.remotes().catch(() => []);
        context.remark(...remotes.filter(({ failure }) => failure !== null).flatMap(remoteLines));
        return ended.every(isGood) ? exitCodes.ok : exitCodes.devices;
      }),
    );
}

/** The line of one device under `--json`. */
function endedJson(ended: RunEnded): object {
  const { settled, device, runId } = ended;
  const failure = 'failure' in settled ? settled.failure : null;
  return {
    device,
    platform: ended.platform,
    run_id: runId,
    outcome: settled.outcome,
    under_new_rules: settled.outcome === 'changed' && settled.underNewRules === true,
    commit: 'commit' in settled ? settled.commit : null,
    restorable: ended.restorable,
    artefacts: ended.artefacts.map(({ name, path, bytes, changed }) => ({ name, path, bytes, changed })),
    duration_ms: ended.endedAtMs - ended.startedAtMs,
    error: jsonFailure(failure, { device, runId }),
  };
}

/** `fw1  changed  +12 -3  1f3c9a2b7d  48.2 KiB  3.1 s` */
function endedLine(ended: RunEnded, { paint }: Context): string {
  const { settled, device } = ended;
  const took = duration(ended.endedAtMs - ended.startedAtMs);
  const bytes = size(ended.artefacts.reduce((sum, artefact) => sum + artefact.bytes, 0));
  switch (settled.outcome) {
    case 'changed': {
      const counts = `+${settled.addedLines} -${settled.removedLines}`;
      const commit = settled.commit.slice(0, 10);
      const what = settled.underNewRules === true ? 're-read under new rules' : paint('good', 'changed');
      return `${device}  ${what}  ${counts}  ${commit}  ${bytes}  ${took}`;
    }
    case 'unchanged':
      return `${device}  unchanged  ${bytes}  ${took}`;
    case 'quarantined':
      return `${device}  ${paint('doubtful', 'quarantined')}  ${settled.failure.code}  ${took}`;
    case 'failed':
      return `${device}  ${paint('bad', 'failed')}  ${settled.failure.code}  ${took}`;
  }
}

/** What a person wants to know at the end: how many, what changed, what is wrong and what to do about it. */
function summary(ended: readonly RunEnded[], tookMs: number, context: Context): string[] {
  const { paint, width } = context;
  const of = (outcome: RunEnded['settled']['outcome']): RunEnded[] =>
    ended.filter(({ settled }) => settled.outcome === outcome);
  // On a terminal each of these had its line when it ended.
  const lines = width === null ? of('changed').map((run) => endedLine(run, context)) : [];
  for (const run of [...of('quarantined'), ...of('failed')]) {
    const { device, runId, settled } = run;
    if (!('failure' in settled)) continue;
    const { message, todo } = describe(settled.failure, { device, runId });
    const style = settled.outcome === 'failed' ? 'bad' : 'doubtful';
    lines.push(`${device}: ${paint(style, settled.outcome)}: ${message}`, `  → ${todo}`);
  }
  for (const run of ended)
    if (isGood(run) && run.restorable !== null && run.restorable !== 'yes')
      lines.push(
        `${run.device}: restorable: ${run.restorable}${run.restorableBecause === null ? '' : `: ${quotable(run.restorableBecause)}`}`,
      );
  const counts = (['changed', 'unchanged', 'quarantined', 'failed'] as const)
    .map((outcome) => ({ outcome, count: of(outcome).length }))
    .filter(({ count }) => count > 0)
    .map(({ outcome, count }) => `${count} ${outcome}`);
  if (lines.length > 0) lines.push('');
  lines.push(`${counted(ended.length, 'device')} in ${duration(tookMs)}: ${counts.join(', ')}`);
  return lines;
}

function isGood({ settled }: RunEnded): boolean {
  return settled.outcome === 'changed' || settled.outcome === 'unchanged';
}
