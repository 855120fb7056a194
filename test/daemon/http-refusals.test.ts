import { expect, it } from 'vitest';
import { createRefusals } from '../../src/daemon/http-refusals.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { keptLog } from './support.ts';

it('every refusal is counted, and a flood of them is one line a minute with its addresses', async () => {
  const clock = new FakeClock();
  const { log, lines } = keptLog();
  const counted: string[] = [];
  const refused = createRefusals(clock, { httpRefused: (endpoint) => counted.push(endpoint) }, log);
  for (let n = 0; n < 1_000; n++) refused('read', `192.0.2.${n % 250}`);
  expect(counted).toHaveLength(1_000);
  expect(lines).toHaveLength(1);
  await clock.until(new Promise<void>((resolve) => void clock.after(60_000, resolve)));
  refused('operate', '198.51.100.1');
  expect(lines).toHaveLength(2);
  expect(lines[1]).toContain('"requests":1000');
  expect(lines[1]).toContain('192.0.2.1, 192.0.2.2');
  expect((lines[1] ?? '').length).toBeLessThan(300);
});
