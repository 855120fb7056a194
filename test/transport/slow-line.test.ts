import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/fortinet_fortigate.ts';
import { collect } from '../../src/transport/collect.ts';
import { createTranscript } from '../../src/transport/transcript.ts';
import { plainDevice } from '../support/device.ts';
import { memoryConnect, timersOf, whole } from '../support/devices/memory.ts';
import { createPersona } from '../support/devices/persona.ts';
import type { Faults } from '../support/devices/spec.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { fortigateConfig } from '../support/samples.ts';
import { failure, memoryHostKeys } from '../support/ssh-server.ts';

/** About 2 MB, which take more than three minutes at 10 kB/s. */
const rule = (n: number) =>
  `    edit ${n}\n        set name "rule ${n}"\n        set comments "${'x'.repeat(150)}"\n    next\n`;
const large = fortigateConfig.replace(
  /^end\n/m,
  () => `end\nconfig firewall policy\n${Array.from({ length: 10_000 }, (_, n) => rule(n + 1)).join('')}end\n`,
);

async function reading(faults: Faults) {
  const clock = new FakeClock();
  const spec = { platform: 'fortinet_fortigate', hostname: 'fw-fgt', config: large } as const;
  const persona = createPersona({ ...spec, faults }, timersOf(clock));
  const request = {
    device: plainDevice({
      ...{ name: 'fw1', platform: 'fortinet_fortigate', host: '192.0.2.1' },
      timeouts: { connectMs: 15_000, loginMs: 30_000, idleMs: 60_000 },
    }),
    driver,
    readSecret: async () => 'secret',
    hostKeys: memoryHostKeys(),
    clock,
    signal: new AbortController().signal,
    readTwice: false,
    maxBytes: 1 << 26,
    onProgress: () => {},
    transcript: createTranscript({ limitBytes: 1_000 }),
  };
  const collected = clock.until(collect(request, memoryConnect(persona, clock, whole)));
  return { clock, collected };
}

describe('a device behind a slow line', () => {
  it('of 10 kB/s is read whole, however long it takes: silence is what counts', async () => {
    const { clock, collected } = await reading({ bytesPerSecond: 10_000 });
    const { captures } = await collected;
    expect(Math.max(...[...captures.values()].map(({ text }) => text.length))).toBeGreaterThan(2_000_000);
    // Longer than connecting, logging in and one silence together.
    expect(clock.monotonicMs()).toBeGreaterThan(200_000);
  });

  it('that stands still in the middle is given up after the silence', async () => {
    const { clock, collected } = await reading({
      bytesPerSecond: 10_000,
      silentAt: { byte: 1_000_000 },
    });
    expect(await failure(collected)).toMatchObject({ code: 'collect.stalled', detail: { idleMs: 60_000 } });
    expect(clock.monotonicMs()).toBeLessThan(200_000);
  });
});
