import { type Fleet, startFleet } from '../fleet/fleet.ts';
import type { FleetPlatform } from '../fleet/options.ts';
import type { Report } from '../fleet/protocol.ts';
import { startFloor } from '../floor/floor.ts';
import { ratioOf } from '../measure/ratio.ts';
import type { BenchPart, Measured } from '../part.ts';
import { withRancid } from '../peer/with-rancid.ts';
import { all, startSubject } from '../subject/roundsman.ts';

const part: BenchPart = {
  name: 'pipeline',
  about: 'CPU of one backup, from the login to the ledger, against a bare SSH client and against RANCID.',
  async run(scale, say) {
    const devices = scale === 'full' ? 100 : 30;
    const rounds = scale === 'full' ? 3 : 1;
    const found: Measured[] = [];
    const kinds: readonly (readonly [string, readonly FleetPlatform[]])[] =
      scale === 'full'
        ? [
            ['FortiGate and ASA', ['fortinet_fortigate', 'cisco_asa']],
            ['BIG-IP', ['f5_bigip']],
          ]
        : [['all platforms', ['fortinet_fortigate', 'cisco_asa', 'f5_bigip']]];
    for (const [name, platforms] of kinds) {
      await using fleet = await startFleet({ devices, platforms });
      const costs = await measure(fleet, rounds, say);
      const [floor, same, changed] = [costs.floorMs, costs.unchangedMs, costs.changedMs];
      found.push(
        { what: `${name}: CPU per device, floor`, value: floor, unit: 'ms', limit: null, note: costs.note },
        {
          what: `${name}: CPU per backup, nothing changed`,
          value: same,
          unit: 'ms',
          limit: null,
          note: null,
        },
        {
          what: `${name}: CPU per backup, everything changed`,
          value: changed,
          unit: 'ms',
          limit: null,
          note: null,
        },
        ratioOf(`${name}: nothing changed, against the floor`, same, floor, { atMost: 2.5 }),
        ratioOf(`${name}: everything changed, against the floor`, changed, floor, { atMost: 4 }),
      );
      if (scale === 'full' && platforms.includes('cisco_asa')) {
        const rancid = await withRancid(fleet, async (peer) => {
          await peer.run(50);
          return (await peer.run(50)).cpuMs / devices;
        });
        if (rancid === null) say('RANCID is not installed: no figure of it');
        else
          found.push(
            { what: `${name}: CPU per device, RANCID`, value: rancid, unit: 'ms', limit: null, note: null },
            ratioOf(`${name}: nothing changed, against RANCID`, same, rancid, { atMost: 1 / 6 }),
            ratioOf(`${name}: everything changed, against RANCID`, changed, rancid, { atMost: 1 / 6 }),
          );
      }
    }
    return found;
  },
};
export default part;

interface Costs {
  readonly floorMs: number;
  readonly unchangedMs: number;
  readonly changedMs: number;
  readonly note: string | null;
}

/** The three in turn, so that whatever else the machine does falls on all of them; the first round warms them up. */
async function measure(fleet: Fleet, rounds: number, say: (line: string) => void): Promise<Costs> {
  const count = fleet.devices.length;
  await using floor = startFloor();
  await using subject = await startSubject(fleet, 50);
  await floor.round(fleet, 50);
  all('changed', await subject.backUp(), count);
  all('unchanged', await subject.backUp(), count);
  const sums = { floor: 0, unchanged: 0, changed: 0 };
  let [plain, read]: readonly [Report | null, Report | null] = [null, null];
  for (let round = 0; round < rounds; round++) {
    await fleet.report();
    sums.floor += (await floor.round(fleet, 50)).cpuMs;
    plain = await fleet.report();
    sums.unchanged += all('unchanged', await subject.backUp(), count).cpuMs;
    read = await fleet.report();
    await fleet.change(1);
    sums.changed += all('changed', await subject.backUp(), count).cpuMs;
    say(`round ${round + 1} of ${rounds}`);
  }
  const busy = Math.round((plain?.busy ?? 0) * 100);
  const bytes = Math.round(((plain?.sentBytes ?? 0) / Math.max(1, read?.sentBytes ?? 0)) * 100);
  return {
    floorMs: sums.floor / rounds / count,
    unchangedMs: sums.unchanged / rounds / count,
    changedMs: sums.changed / rounds / count,
    note: `it was sent ${bytes} % of what the product was; the fleet was busy for ${busy} % of the time`,
  };
}
