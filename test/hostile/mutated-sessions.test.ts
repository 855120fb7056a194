import { describe, expect, it } from 'vitest';
import { BackupError, failureOf } from '../../src/core/errors.ts';
import type { Driver, Options } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { judge } from '../../src/pipeline/judge.ts';
import { mask } from '../support/conformance-reading.ts';
import { casesOf, type FixtureCase } from '../support/devices/cases.ts';
import { attacked, linesOf, type Mutation, mutations } from './attacked.ts';

/*
 * Every recorded session, with octets flipped, taken out, doubled and put in on the way, many times over. What becomes
 * of the configuration is not asked here (cuts and holes are the business of conformance): only that a device can
 * neither break us, nor hold us, nor have anything typed that is not in its driver, nor have a secret out of us.
 */

/** More for a long look: `MUTATIONS=200 npx vitest run test/hostile`. */
const rounds = Number(process.env.MUTATIONS ?? 6);

/** What may be typed at all on a device of this platform, credentials apart. */
function allowed(driver: Driver, options: Options): readonly RegExp[] {
  return linesOf(driver).map((template) => {
    const filled = template.replace(/\{([a-z_]+)\}/g, (whole, name: string) =>
      String(options[name] ?? whole),
    );
    const literal = filled
      .split(/\{[A-Za-z][A-Za-z0-9_]*\}/)
      .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
    return new RegExp(`^${literal.join('[A-Za-z0-9._:/@+~-]{1,128}')}$`);
  });
}

interface Wrong {
  readonly mutation: Mutation;
  readonly what: string;
}

async function wrongIn(driver: Driver, fixture: FixtureCase, mutation: Mutation): Promise<readonly Wrong[]> {
  const wrong: Wrong[] = [];
  const complain = (what: string): void => void wrong.push({ mutation, what });
  const session = await attacked(driver, fixture, mutation);
  let told = '';
  if (session.thrown !== null) {
    if (!(session.thrown instanceof BackupError))
      complain(`it threw ${String((session.thrown as Error).stack)}`);
    told = JSON.stringify(failureOf(session.thrown));
  } else if (session.collected !== null) {
    try {
      const { artefacts, facts, condition, serials, restorableBecause } = judge(
        driver,
        session.collected,
        mask,
      );
      told = JSON.stringify([
        facts,
        condition,
        serials,
        restorableBecause,
        artefacts.map(({ masked }) => masked),
      ]);
    } catch (thrown) {
      if (!(thrown instanceof BackupError)) complain(`judging threw ${String((thrown as Error).stack)}`);
      told = JSON.stringify(failureOf(thrown));
    }
  }
  const rules = allowed(driver, session.options);
  const counts = new Map<string, number>();
  for (const line of session.typed) {
    const credential = session.credentials.find((one) => one.value === line);
    if (credential !== undefined) counts.set(credential.name, (counts.get(credential.name) ?? 0) + 1);
    else if (!rules.some((rule) => rule.test(line))) complain(`it typed ${JSON.stringify(line)}`);
  }
  for (const [name, count] of counts) if (count > 1) complain(`it typed the ${name} ${count} times`);
  for (const { name, value } of session.credentials) {
    if (name === 'username') continue;
    if (told.includes(value)) complain(`what it says holds the ${name}`);
    if (session.transcript.includes(value)) complain(`the transcript holds the ${name}`);
  }
  if (session.tookMs > session.limitMs) complain(`it took ${session.tookMs} ms`);
  return wrong;
}

for (const [id, driver] of await loadDrivers()) {
  describe(`a ${id} whose words are mutated on the way`, () => {
    it.each(casesOf(id).map((fixture) => [fixture.name, fixture] as const))('%s', async (_name, fixture) => {
      const wrong: Wrong[] = [];
      for (const mutation of mutations(fixture, rounds))
        wrong.push(...(await wrongIn(driver, fixture, mutation)));
      expect(wrong.slice(0, 3)).toEqual([]);
    });
  });
}
