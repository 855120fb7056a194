import { describe, expect, it } from 'vitest';
import type { ChangeOrigin, SpoolEntry } from '../../src/core/run.ts';
import type { CommitRequest } from '../../src/gitstore/repository.ts';
import { type SettleHands, settle } from '../../src/pipeline/settle.ts';
import { tiny } from '../syslog/support.ts';

/** The trailers of the commit that a first reading makes. */
async function trailers(change: ChangeOrigin | null, changedBy: string | null): Promise<Map<string, string>> {
  const entry: SpoolEntry = {
    ...{ runId: 'r1', deviceId: 'fw1', deviceName: 'fw1', group: 'hq', platform: 'tiny' },
    ...{ trigger: 'change', slotMs: null, readAtMs: 0, serials: [], maskKey: 'k', rules: 'r' },
    artefacts: [{ name: 'running-config', masked: 'a\n', sealed: null }],
    facts: { hostname: null, version: null, model: null, serial: null, changedBy, changedAt: null },
    condition: { ha: null, standby: null, sync: null, unsaved: null },
    restorable: 'yes',
    restorableBecause: null,
    ...(change === null ? {} : { change }),
  };
  let made: CommitRequest | null = null;
  const hands = {
    ledger: { lastGood: () => null, device: () => null, chainHead: () => 'head' },
    repository: {
      commit: async (request: CommitRequest) => {
        made = request;
        return { commit: 'c', addedLines: 1, removedLines: 0, foreignTip: null };
      },
    },
    artefactPath: () => 'hq/fw1/running-config.cfg',
  } as unknown as SettleHands;
  await settle(entry, tiny, { hostname: null, serials: [] }, null, hands);
  return new Map((made as CommitRequest | null)?.trailers);
}

describe('who changed a device', () => {
  it('is in the commit as syslog said, with the place', async () => {
    const said = await trailers({ by: 'alice, bob', from: '192.0.2.7' }, 'carol');
    expect(said.get('Changed-By')).toBe('alice, bob');
    expect(said.get('Changed-From')).toBe('192.0.2.7');
  });

  it('is in it as the device says where syslog named nobody', async () => {
    expect((await trailers(null, 'carol')).get('Changed-By')).toBe('carol');
    const placed = await trailers({ by: null, from: '192.0.2.7' }, 'carol');
    expect([placed.get('Changed-By'), placed.get('Changed-From')]).toEqual(['carol', '192.0.2.7']);
    const nobody = await trailers(null, null);
    expect([nobody.has('Changed-By'), nobody.has('Changed-From')]).toEqual([false, false]);
  });
});
