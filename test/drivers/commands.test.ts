import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Seen } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';

/* What has to hold of the commands, options and archives of every driver, whatever they are. */

const placeholders = (text: string): string[] =>
  [...text.matchAll(/\{([A-Za-z]\w*)\}/g)].map(([, name = '']) => name);

/** Pieces of what devices say, out of place; and anything. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc
    .array(
      fc.constantFrom(
        'context red\n',
        '  config-url disk0:/red.cfg\n',
        'Security context mode: multiple \n',
        'config vdom\n',
        'edit root\n',
        'cm device /Common/a {\n',
        '}\n',
        '{\n',
        '"',
        '\\',
        '\r\n',
        '\0',
        'Serial Number: ',
        '/config/zebos/rd0/ZebOS.conf\n',
        'HA Health Status: OK\n',
        ': end\n',
      ),
      { maxLength: 40 },
    )
    .map((parts) => parts.join('')),
);

for (const [id, driver] of await loadDrivers()) {
  describe(`the commands of ${id}`, () => {
    const { commands, options = [] } = driver;
    const standard = Object.fromEntries(options.map((option) => [option.name, option.standard]));
    const seenWith = (text: (command: string) => string | null, dialogue: string): Seen => ({
      text,
      options: standard,
      dialogue,
    });

    it('have names of their own', () => {
      const names = commands.map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
    });

    it('go through items of what was asked before', () => {
      for (const [index, { name, forEach }] of commands.entries()) {
        if (forEach === undefined) continue;
        const over = commands.slice(0, index).find((one) => one.name === forEach.over);
        expect([name, over?.name]).toEqual([name, forEach.over]);
        expect(over?.keep).not.toBe('archive');
        expect(over?.forEach).toBeUndefined();
        expect(placeholders(name)).not.toEqual([]);
      }
    });

    it('hold a placeholder only where there are items', () => {
      for (const command of commands) {
        if (command.forEach !== undefined || command.keep === 'archive') continue;
        const sent = command.keep === 'facts' ? [command.send] : command.firstOf.map(({ send }) => send);
        for (const line of [command.name, ...sent, ...(command.before ?? []), ...(command.after ?? [])])
          expect(placeholders(line)).toEqual([]);
      }
    });

    it('never throw over what a device said, whatever it said', () => {
      fc.assert(
        fc.property(
          fc.func(fc.option(anyText)),
          anyText,
          fc.constantFrom(...driver.dialogues.map(({ name }) => name)),
          (text, listing, dialogue) => {
            const seen = seenWith(text, dialogue);
            for (const command of commands) {
              command.when?.(seen);
              for (const item of command.forEach?.items(listing, seen) ?? [])
                for (const value of Object.values(item)) expect(typeof value).toBe('string');
              if (command.keep === 'artefact') for (const way of command.firstOf) way.when?.(seen);
            }
            driver.state?.(seen);
          },
        ),
        { numRuns: 300 },
      );
    });

    it('move to another mode by options that there are', () => {
      const names = options.map(({ name }) => name);
      for (const dialogue of driver.dialogues) {
        if (dialogue.channel === 'exec') continue;
        for (const mode of Object.values(dialogue.modes)) {
          if (mode.kind !== 'prompt') continue;
          for (const move of Object.values(mode.moves ?? {}))
            for (const name of placeholders(move?.send ?? '')) expect(names).toContain(name);
        }
      }
    });

    it('options are named in one way, and their standard is one of their values', () => {
      for (const { name, takes, standard: value } of options) {
        expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
        if (takes === 'flag') expect(typeof value).toBe('boolean');
        else if ('matching' in takes) expect(value).toMatch(takes.matching);
        else expect(takes).toContain(value);
      }
    });

    it('archives are removed again, and ask for a passphrase in one of two ways', () => {
      for (const command of commands) {
        if (command.keep !== 'archive') continue;
        expect(command.remove.length).toBeGreaterThan(0);
        expect(placeholders(command.make)).toEqual(['passphrase']);
        expect(placeholders(command.makeOpen)).toEqual([]);
        expect(options.map(({ name }) => name)).not.toContain(command.name);
      }
    });
  });
}
