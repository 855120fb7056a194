import { startFleet } from '../fleet/fleet.ts';
import { ratioOf } from '../measure/ratio.ts';
import type { BenchPart } from '../part.ts';
import { all, startSubject } from '../subject/roundsman.ts';

const part: BenchPart = {
  name: 'growth',
  about: 'Whether a backup costs more where there are more devices.',
  async run(scale, say) {
    const [few, many] = scale === 'full' ? [100, 10_000] : [20, 200];
    const small = await cpuOfUnchanged(few, scale === 'full' ? 10 : 3);
    say(`${few} devices were read`);
    const large = await cpuOfUnchanged(many, 1);
    const ms = { unit: 'ms', limit: null, note: 'nothing changed' } as const;
    return [
      { what: `CPU per backup of ${few} devices`, value: small, ...ms },
      { what: `CPU per backup of ${many} devices`, value: large, ...ms },
      ratioOf(`CPU per backup, ${many} devices against ${few}`, large, small, { atMost: 1.3 }),
    ];
  },
};
export default part;

/** After a first round, which makes the commits. */
async function cpuOfUnchanged(devices: number, rounds: number): Promise<number> {
  // Small texts: what grows with the number of devices is not in them.
  await using fleet = await startFleet({ devices, platforms: ['cisco_asa'], sizeBytes: 5_000 });
  await using subject = await startSubject(fleet, 50);
  all('changed', await subject.backUp(), devices);
  let cpuMs = 0;
  for (let round = 0; round < rounds; round++)
    cpuMs += all('unchanged', await subject.backUp(), devices).cpuMs;
  return cpuMs / rounds / devices;
}
