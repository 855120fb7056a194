import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { committerEmail, mainRef } from '../../src/gitstore/fast-import.ts';
import { messageText } from '../../src/gitstore/message.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import { writeOwnTips } from '../../src/gitstore/tip.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { asaText } from './texts.ts';
import type { Placed, Workplace } from './workplace.ts';

/** One reading that changed something. */
export interface PastReading {
  readonly device: Placed;
  readonly runId: string;
  /** The slot that it served, UTC epoch milliseconds; null: a person asked for it. */
  readonly slotMs: number | null;
  readonly atMs: number;
  /** See `asaText`. */
  readonly edit: number;
}

/** Rows of one transaction. */
const atOnce = 1_000;

/** A run id like those of the product, and the same in every run of the bench. */
export function pastRunId(index: number, atMs: number): string {
  const instant = new Date(atMs).toISOString().replace(/[-:]|\.\d+/g, '');
  return `${instant}-${index.toString(16).padStart(8, '0')}`;
}

/**
 * A past of this workplace: a commit for each reading, and ledger rows that name it. The commits are made by one
 * fast-import into one pack, as a repository is after maintenance; the rows by the ledger itself.
 */
export async function makePast(
  place: Workplace,
  readings: readonly PastReading[],
  textBytes: number,
): Promise<void> {
  mkdirSync(place.state, { recursive: true, mode: 0o700 });
  await openRepository({ dir: place.repository });
  const ids = await importPast(place.repository, readings, textBytes);
  await writeOwnTips(place.repository, { acknowledged: ids.at(-1) ?? null, pending: null });
  using ledger = openLedger(place.ledger);
  for (let from = 0; from < readings.length; from += atOnce) {
    ledger.together(() => {
      for (const [index, reading] of readings.slice(from, from + atOnce).entries())
        record(ledger, reading, ids[from + index] ?? '', textBytes);
    });
  }
}

/** One commit for each; their ids. */
export async function importPast(
  dir: string,
  readings: readonly PastReading[],
  textBytes: number,
): Promise<readonly string[]> {
  const child = spawn('git', ['-C', dir, 'fast-import', '--quiet', '--done', '--date-format=raw'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let answered = '';
  child.stdout.setEncoding('latin1').on('data', (piece: string) => {
    answered += piece;
  });
  const write = async (text: string): Promise<void> => {
    if (!child.stdin.write(text, 'latin1')) await once(child.stdin, 'drain');
  };
  for (const [index, { device, runId, atMs, edit }] of readings.entries()) {
    const message = messageText({
      subject: `${device.name}: running-config changed (+2 -2)`,
      body: '',
      trailers: [
        ['Device', device.name],
        ['Platform', 'cisco_asa'],
        ['Run-Id', runId],
        ['Trigger', 'schedule'],
        ['Model', 'ASA5516'],
        ['Serial', 'JAD00000000'],
        ['OS-Version', '9.16(4)19'],
        ['Restorable', 'yes'],
        ['Rules', 'cisco_asa-1'],
      ],
    });
    const text = asaText(device.name, textBytes, edit);
    await write(
      `commit ${mainRef}\nmark :${index + 1}\ncommitter Roundsman <${committerEmail}> ${Math.floor(atMs / 1_000)} +0000\n` +
        `data ${message.length}\n${message}\nM 100644 inline ${artefactPath(device.group, device.name, 'running-config')}\n` +
        `data ${text.length}\n${text}\nget-mark :${index + 1}\n`,
    );
  }
  child.stdin.end('done\n');
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`git fast-import ended with ${code}`);
  return answered.split('\n').slice(0, -1);
}

function record(ledger: Ledger, reading: PastReading, commit: string, bytes: number): void {
  const { device, runId, slotMs, atMs } = reading;
  const { name, group } = device;
  const registeredMs = (slotMs ?? atMs) - 60_000;
  const { id } = ledger.register({
    ...{ name, group, platform: 'cisco_asa', formerly: [] },
    atMs: registeredMs,
  });
  ledger.openRun({ runId, deviceId: id, trigger: 'schedule', slotMs, startedAtMs: atMs - 3_000 });
  if (slotMs !== null)
    ledger.slots.write([{ kind: 'record', deviceId: id, slotMs, deadlineMs: slotMs + 5_400_000 }]);
  ledger.closeRun({
    ...{ runId, endedAtMs: atMs, outcome: 'changed', failure: null, commit },
    ...{ restorable: 'yes', restorableBecause: null },
    reading: {
      facts: {
        ...{ hostname: name, serial: `JAD${id}`, model: 'ASA5516', version: '9.16(4)19' },
        ...{ changedBy: null, changedAt: null },
      },
      condition: { ha: null, standby: false, sync: null, unsaved: null },
      serials: [`JAD${id}`],
      rules: 'cisco_asa-1',
      maskKey: '0123456789ab',
      artefacts: [
        {
          name: 'running-config',
          path: artefactPath(group, name, 'running-config'),
          ...{ sealed: null, changed: true, bytes },
        },
      ],
    },
  });
  if (slotMs === null) return;
  ledger.slots.write([
    {
      ...{ kind: 'close', deviceId: id, slotMs, deadlineMs: slotMs + 5_400_000, detectedAtMs: atMs },
      end: { state: 'changed', runId },
    },
  ]);
}
