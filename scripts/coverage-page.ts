import type { Driver } from '../src/drivers/driver.ts';
import { casesOf, expectedTexts, type FixtureCase } from '../test/support/devices/cases.ts';

/** docs/platforms/coverage.md: every simulated device that the conformance suite reads, by platform. */
export function coveragePage(drivers: readonly Driver[]): string {
  const sections = drivers.flatMap((driver) => {
    const cases = casesOf(driver.id);
    return [
      `## ${driver.title} (\`${driver.id}\`), ${cases.length} cases`,
      '',
      '| case | what is special about it | artefacts | restorable |',
      '|---|---|---|---|',
      ...cases.map(
        (one) => `| ${one.name} | ${one.title} | ${artefactsOf(one).join(', ')} | ${one.restorable} |`,
      ),
      '',
    ];
  });
  return `# What is tested on each platform

Generated from \`test/fixtures/\` by \`npm run docs\`. Each case is a simulated device, written from recordings and documentation. Every artefact of it goes through
the same properties: it comes out byte for byte however the bytes arrive; no cut of it is taken, on a line or inside one; a session that breaks or falls
silent is a failure; reading it twice makes no commit; no secret is left and no neighbour of one is lost; nothing is typed but what the driver lists.

${sections.join('\n')}`;
}

/** The principal one first; the others as their files are called. */
function artefactsOf(fixture: FixtureCase): readonly string[] {
  const names = [...expectedTexts(fixture).keys()];
  return names.length <= 4 ? names : [...names.slice(0, 3), `and ${names.length - 3} more`];
}
