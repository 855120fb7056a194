import { type Fleet, startFleet } from '../fleet/fleet.ts';
import { ratioOf } from '../measure/ratio.ts';
import type { BenchPart, Measured } from '../part.ts';
import { withRancid } from '../peer/with-rancid.ts';
import { all, startSubject } from '../subject/roundsman.ts';

const workers = 50;

const part: BenchPart = {
  name: 'throughput',
  about: 'Devices per second at 50 workers, over the loopback and with 100 ms round trip, against RANCID.',
  async run(scale, say) {
    const devices = scale === 'full' ? 100 : 20;
    await using fleet = await startFleet({ devices, platforms: ['fortinet_fortigate', 'cisco_asa'] });
    const near = await ourRate(fleet);
    say('the product has read the fleet');
    await fleet.setLine({ roundTripMs: 100, bytesPerSecond: null });
    const far = await ourRate(fleet);
    say('and with 100 ms round trip');
    const found: Measured[] = [
      {
        what: 'devices per second, 50 workers',
        value: near.perSecond,
        unit: '/s',
        limit: null,
        note: near.note,
      },
      {
        what: 'the same with 100 ms round trip',
        value: far.perSecond,
        unit: '/s',
        limit: null,
        note: far.note,
      },
    ];
    if (scale === 'smoke') return found;
    const rates = await withRancid(fleet, async (rancid) => {
      // The first run adds the devices to its repository.
      await fleet.setLine({ roundTripMs: 0, bytesPerSecond: null });
      await rancid.run(workers);
      const rate = async (atOnce: number): Promise<number> =>
        (devices * 1000) / (await rancid.run(atOnce)).wallMs;
      const alike = await rate(workers);
      const standard = await rate(5);
      await fleet.setLine({ roundTripMs: 100, bytesPerSecond: null });
      return { alike, standard, distant: await rate(workers) };
    });
    if (rates === null) {
      say('RANCID is not installed: no figure of it');
      return found;
    }
    return [
      ...found,
      { what: 'RANCID, 50 at once', value: rates.alike, unit: '/s', limit: null, note: null },
      { what: 'RANCID at its default of 5', value: rates.standard, unit: '/s', limit: null, note: null },
      {
        what: 'RANCID, 50 at once, 100 ms round trip',
        value: rates.distant,
        unit: '/s',
        limit: null,
        note: null,
      },
      ratioOf('devices per second, against RANCID with 50 at once', near.perSecond, rates.alike, {
        atLeast: 3,
      }),
      ratioOf('devices per second, against RANCID at its default', near.perSecond, rates.standard, {
        atLeast: 15,
      }),
      ratioOf('with 100 ms round trip, against RANCID with 50 at once', far.perSecond, rates.distant, {
        atLeast: 3,
      }),
    ];
  },
};
export default part;

/** Of a daemon that has read every device before; the start of the command that asks is part of it. */
async function ourRate(fleet: Fleet): Promise<{ readonly perSecond: number; readonly note: string }> {
  const count = fleet.devices.length;
  await using subject = await startSubject(fleet, workers);
  all('changed', await subject.backUp(), count);
  await fleet.report();
  const { wallMs } = all('unchanged', await subject.backUp(), count);
  const { busy } = await fleet.report();
  return {
    perSecond: (count * 1000) / wallMs,
    note: `the fleet was busy for ${Math.round(busy * 100)} % of the time`,
  };
}
