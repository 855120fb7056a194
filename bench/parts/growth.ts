import { startFleet } from '../fleet/fleet.ts';
import { ratioOf } from '../measure/ratio.ts';
import type { BenchPart } from '../part.ts';
import { all, startSubject } from '../subject/roundsman.ts';

const part: BenchPart = {
  name: 'growth',
  about: 'Whether a backup costs more where there are more devices.',
  async run(scale, say) {
    const [few, many] = scale === 'full' ? [100, 10_000] : [20, 200];
    // Small texts: what grows with the number of devices is not in them.
    const small = await cpuOfChanges(few, scale === 'full' ? 10 : 3);
    say(`${few} devices were read`);
    const large = await cpuOfFirstContact(many);
    const ms = { unit: 'ms', limit: null } as const;
    return [
      { what: `CPU per backup of ${few} devices, each changed`, value: small, ...ms, note: null },
      {
        what: `CPU per backup of ${many} devices`,
        value: large,
        ...ms,
        note: 'their first one: a commit for each, like a change',
      },
      ratioOf(`CPU per backup, ${many} devices against ${few}`, large, small, { atMost: 1.3 }),
    ];
  },
};
export default part;

const kind = { platforms: ['cisco_asa'], sizeBytes: 5_000 } as const;

async function cpuOfChanges(devices: number, rounds: number): Promise<number> {
  await using fleet = await startFleet({ devices, ...kind });
  await using subject = await startSubject(fleet, 50);
  all('changed', await subject.backUp(), devices);
  let cpuMs = 0;
  for (let round = 0; round < rounds; round++) {
    await fleet.change(1);
    cpuMs += all('changed', await subject.backUp(), devices).cpuMs;
  }
  return cpuMs / rounds / devices;
}

async function cpuOfFirstContact(devices: number): Promise<number> {
  await using fleet = await startFleet({ devices, ...kind });
  await using subject = await startSubject(fleet, 50);
  return all('changed', await subject.backUp(), devices).cpuMs / devices;
}
