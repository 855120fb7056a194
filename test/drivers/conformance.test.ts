import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadDrivers } from '../../src/drivers/registry.ts';
import {
  checkArtefacts,
  checkBrokenSessions,
  checkCommands,
  checkCuts,
  checkFacts,
  checkPause,
  checkSecrets,
  checkStability,
  expectedFiles,
  promptsIn,
  type Tally,
} from '../support/conformance.ts';
import { casesOf } from '../support/devices/cases.ts';

/*
 * Every driver over every fixture of its platform, both found by listing. UPDATE_FIXTURES=1 writes what
 * the program makes of each fixture into its expected.cfg: read every line of the difference.
 */

/** Printed, so that a failure can be run again: CONFORMANCE_SEED=… */
const seed = Number(process.env.CONFORMANCE_SEED ?? Math.floor(Math.random() * 1_000_000));
/** Places on the wire at which each fixture's answer is cut, silenced and stopped. */
const wireSamples = 12;

const drivers = await loadDrivers();
const rows: string[] = [];

it('knows a platform at least', () => {
  expect(drivers.size).toBeGreaterThan(0);
});

for (const [id, driver] of drivers) {
  const fixtures = casesOf(id);

  it(`${id} has fixtures`, () => {
    expect(fixtures.map(({ name }) => name)).toContain('typical');
  });

  for (const fixture of fixtures) {
    describe(`${id}, ${fixture.name}: ${fixture.title}`, () => {
      const tally: Tally = { cutsByText: 0, cutsOnTheWire: 0, deliveries: 0 };

      if (process.env.UPDATE_FIXTURES === '1') {
        beforeAll(async () => {
          for (const [path, text] of await expectedFiles(driver, fixture)) {
            mkdirSync(dirname(path), { recursive: true });
            writeFileSync(path, text, 'latin1');
          }
        });
      }

      afterAll(() => {
        const { cutsByText, cutsOnTheWire, deliveries } = tally;
        rows.push(
          `${`${id}/${fixture.name}`.padEnd(42)} ${String(cutsByText).padStart(6)} ${String(cutsOnTheWire).padStart(6)} ${String(deliveries).padStart(6)}`,
        );
      });

      it(`gives the expected text, however it is delivered (seed ${seed})`, async () => {
        expect(await checkArtefacts(driver, fixture, seed, tally)).toEqual([]);
      });

      it('tells what it is and what its copy is worth', async () => {
        expect(await checkFacts(driver, fixture)).toEqual([]);
      });

      it('is never taken when it was cut, at any line and inside lines', async () => {
        expect(await checkCuts(driver, fixture, tally)).toEqual([]);
      });

      it('is never taken from a session that broke, fell silent or stopped half-way', async () => {
        expect(await checkBrokenSessions(driver, fixture, wireSamples, tally)).toEqual([]);
      });

      it('survives a pause wherever the text looks like a prompt', async () => {
        for (const { text, isPrompt } of promptsIn(fixture)) {
          // A line that is the prompt itself cannot be told from one for ever: then the run fails, see cuts.
          for (const ms of isPrompt ? [150, 1_500] : [150, 1_500, 8_000])
            expect(await checkPause(driver, fixture, text, ms)).toEqual([]);
        }
      });

      it('is the same when normalised twice and when recorded a second time', async () => {
        expect(await checkStability(driver, fixture)).toEqual([]);
      });

      it('shows no secret, and keeps the neighbours of secrets', async () => {
        expect(await checkSecrets(driver, fixture)).toEqual([]);
      });

      it('asks exactly what the driver lists', async () => {
        expect(await checkCommands(driver, fixture)).toEqual([]);
      });
    });
  }
}

afterAll(() => {
  const head = `${'fixture'.padEnd(42)} ${'cuts'.padStart(6)} ${'wire'.padStart(6)} ${'deliv.'.padStart(6)}`;
  console.info(`conformance, seed ${seed}\n${[head, ...rows.sort()].join('\n')}`);
});
