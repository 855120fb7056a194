import { harmless, quotable } from '../../core/display.ts';
import { UsageError } from '../../core/errors.ts';
import { counted, instant } from '../../core/units.ts';
import type { Anchor } from '../../verify/verify.ts';
import { type Common, type Context, exitCodes } from '../context.ts';
import { jsonInstant } from '../json.ts';
import type { Cli } from '../program.ts';
import type { Verified } from '../services.ts';
import { confirmed } from '../terminal/ask.ts';
import { createSteps } from '../terminal/steps.ts';

interface Options extends Common {
  readonly anchor?: string;
  readonly acceptBreak?: string;
  readonly yes?: boolean;
}

export function verify(cli: Cli): void {
  cli
    .command(
      'verify',
      'Holds history, audit chain, ledger and sealed copies against each other; exits with 1 when one was changed.',
      [
        'roundsman verify',
        'roundsman verify --anchor 4711:9f86d081…',
        "roundsman verify --accept-break 'ticket 815: secret taken out of the history'",
      ],
    )
    .option(
      '--anchor <record:hash>',
      'a record of the audit chain as it was told elsewhere, such as in a log',
    )
    .option(
      '--accept-break <reason>',
      'record what is found as known, once it was shown; the service is stopped',
    )
    .option('--yes', 'do not ask')
    .action((options: Options) =>
      cli.run(options, async (context) => {
        const anchor = options.anchor === undefined ? null : anchorFrom(options.anchor);
        const because = options.acceptBreak ?? null;
        if (because !== null && because.trim() === '')
          throw new UsageError('a break needs a reason', "say it: `--accept-break 'ticket 815: …'`");
        if (because !== null && anchor !== null)
          throw new UsageError(
            '--anchor and --accept-break do not go together',
            'an anchor that does not hold stays one that does not hold: accept what is found without it',
          );
        const verified = await stepwise(context, (watch) => context.services.verify(anchor, watch));
        const isClean = verified.findings.length === 0;
        if (because !== null && !isClean) return await accept(context, options, verified, because);
        if (context.json) context.document(verifiedJson(verified, 0));
        else context.print(...verifiedLines(verified));
        if (!isClean) context.remark(verdictOf(verified));
        return isClean ? exitCodes.ok : exitCodes.failed;
      }),
    );
}

async function accept(
  context: Context,
  { yes = false }: Options,
  verified: Verified,
  because: string,
): Promise<number> {
  const { world, services, json, print, document } = context;
  if (json && !yes) throw new UsageError('--json cannot ask', 'add --yes, after `roundsman verify` was read');
  if (!json) print(...verifiedLines(verified), '');
  const count = total(verified);
  const question = `Record ${count === 1 ? 'this finding' : `these ${count} findings`} as known for good?`;
  if (!yes && !(await confirmed(world, question, 'roundsman verify --accept-break REASON --yes'))) {
    print('Nothing was accepted.');
    return exitCodes.failed;
  }
  const { fingerprint } = verified;
  const accepted = await stepwise(context, (watch) => services.acceptBreak({ because, fingerprint }, watch));
  if (json) document(verifiedJson(verified, accepted));
  else print(`accepted: ${counted(accepted, 'finding')}, recorded in the audit chain`);
  return exitCodes.ok;
}

function stepwise<Answer>(
  { world }: Context,
  work: (watch: Parameters<Context['services']['verify']>[1]) => Promise<Answer>,
): Promise<Answer> {
  const steps = createSteps(world.stderr);
  return work({ onEvent: steps.show, signal: world.signal }).finally(steps.end);
}

function anchorFrom(text: string): Anchor {
  const [, record, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/i.exec(text.trim()) ?? [];
  if (record === undefined || hash === undefined)
    throw new UsageError(
      `"${quotable(text)}" is no record and its hash`,
      'give them as the log has them: a number, a colon, 64 hexadecimal digits',
    );
  return { record: Number(record), hash: hash.toLowerCase() };
}

function total({ counts }: Verified): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

/** Monitoring of logs looks for these words. */
function verdictOf(verified: Verified): string {
  return `verify failed: ${counted(total(verified), 'finding')}`;
}

function verifiedLines(verified: Verified): string[] {
  const { commits, main, chain, sealedFiles, findings, counts, accepted, notes } = verified;
  const lines = [
    `  history      ${counted(commits, 'commit')}, main ${main ?? 'is not there yet'}`,
    `  audit chain  ${counted(chain.length, 'record')}, head ${chain.head}`,
    `  sealed       ${counted(sealedFiles, 'file')}`,
  ];
  for (const { atMs, by, because, findings: again } of accepted)
    lines.push(
      `  accepted     ${counted(again, 'finding')}, on ${instant(atMs)} by ${quotable(by)}: ${quotable(because, 500)}`,
    );
  for (const note of notes) lines.push(`  note         ${quotable(note, 500)}`);
  for (const { kind, where, what, sinceMs, todo } of findings) {
    const since = sinceMs === null ? '' : `, ${instant(sinceMs)} or later`;
    lines.push('', `${kind}: ${where}${since}`, `  ${quotable(what, 1_000)}`, `  → ${todo}`);
  }
  const shown = new Map(
    [...Map.groupBy(findings, ({ kind }) => kind)].map(([kind, all]) => [kind, all.length]),
  );
  for (const [kind, count] of counts) {
    const more = count - (shown.get(kind) ?? 0);
    if (more > 0) lines.push('', `${kind}: and ${more} more`);
  }
  lines.push('', total(verified) === 0 ? 'clean: everything is as it was recorded' : verdictOf(verified));
  return lines.map(harmless);
}

function verifiedJson(verified: Verified, acceptedNow: number): object {
  const { commits, main, chain, sealedFiles, findings, counts, accepted, notes } = verified;
  return {
    clean: findings.length === 0,
    commits,
    main,
    chain,
    sealed_files: sealedFiles,
    findings: findings.map(({ kind, where, what, sinceMs, todo }) => ({
      ...{ kind, where, what },
      since: jsonInstant(sinceMs),
      todo,
    })),
    counts: Object.fromEntries(counts),
    accepted: accepted.map(({ record, atMs, by, because, findings: again }) => ({
      ...{ record, at: jsonInstant(atMs), by, because },
      findings: again,
    })),
    accepted_now: acceptedNow,
    notes,
  };
}
