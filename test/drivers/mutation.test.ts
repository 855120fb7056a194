import { describe, expect, it } from 'vitest';
import type { ArtefactCommand, Driver, ShellDialogue } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import {
  checkArtefacts,
  checkCuts,
  checkPause,
  checkSecrets,
  checkStability,
  promptsIn,
} from '../support/conformance.ts';
import { type FixtureCase, loadCase } from '../support/devices/cases.ts';

/*
 * Drivers that were damaged on purpose: each damage has to turn the named check of the conformance suite
 * red, and the sound driver has to pass the same check. Without this nobody knows that the suite can fail.
 */

/** Where the terminal of a platform is tried; for BIG-IP the case without bash. */
const terminalCase: { readonly [id: string]: string } = { f5_bigip: 'tmsh-short-prompt' };

/** Where the pager cannot be turned off; elsewhere there is no way to turn it off at all. */
const pagedCase: { readonly [id: string]: string } = {
  cisco_asa: 'pager-stays',
  cisco_ios: 'narrow',
  f5_bigip: 'tmsh-pager',
  paloalto_panos: 'uncommitted',
};

/** What they display changes only with the configuration. */
const steady = new Set(['paloalto_panos']);

function mapArtefacts(driver: Driver, change: (command: ArtefactCommand) => ArtefactCommand): Driver {
  return {
    ...driver,
    commands: driver.commands.map((command) => (command.keep === 'artefact' ? change(command) : command)),
  };
}

/** Anything counts as whole. */
function withoutCompleteness(driver: Driver): Driver {
  return mapArtefacts(driver, (command) => ({
    ...command,
    wholeWhen: { atLeastLines: 1, proof: command.wholeWhen.proof },
  }));
}

/** Any line that ends in the last character of a prompt is one, whoever's it is. */
function withWidePrompts(driver: Driver): Driver {
  const widened = driver.dialogues.map((dialogue) => {
    if (dialogue.channel !== 'shell') return dialogue;
    const modes = Object.entries(dialogue.modes).map(([name, mode]) =>
      mode.kind === 'prompt' ? [name, { ...mode, line: name === 'user' ? /> ?$/ : /[#$] ?$/ }] : [name, mode],
    );
    return { ...dialogue, modes: Object.fromEntries(modes) } as ShellDialogue;
  });
  return { ...driver, dialogues: widened as unknown as Driver['dialogues'] };
}

/** The prompts are as they were, but nobody remembers the first one. */
function withUnpinnedPrompts(driver: Driver): Driver {
  const unpinned = driver.dialogues.map((dialogue) => {
    if (dialogue.channel !== 'shell') return dialogue;
    const modes = Object.entries(dialogue.modes).map(([name, mode]) => [
      name,
      { ...mode, line: new RegExp(mode.line.source.replace('(?<host>', '(?:'), mode.line.flags) },
    ]);
    return { ...dialogue, modes: Object.fromEntries(modes) } as ShellDialogue;
  });
  return { ...driver, dialogues: unpinned as unknown as Driver['dialogues'] };
}

async function checkPauses(driver: Driver, fixture: FixtureCase): Promise<string[]> {
  const wrong: string[] = [];
  for (const { text, isPrompt } of promptsIn(fixture))
    if (!isPrompt) wrong.push(...(await checkPause(driver, fixture, text, 8_000)));
  return wrong;
}

for (const [id, driver] of await loadDrivers()) {
  describe(`a mutated ${id}`, () => {
    const typical = loadCase(id, 'typical');
    const terminal = loadCase(id, terminalCase[id] ?? 'typical');

    it('without its completeness rule lets a cut configuration through', async () => {
      expect(await checkCuts(driver, typical)).toEqual([]);
      expect(await checkCuts(withoutCompleteness(driver), typical)).not.toEqual([]);
    });

    it('with wide prompts loses the rest behind a pause', async () => {
      expect(await checkPauses(driver, terminal)).toEqual([]);
      expect(await checkPauses(withWidePrompts(driver), terminal)).not.toEqual([]);
    });

    it('without its secret rules shows secrets', async () => {
      expect(await checkSecrets({ ...driver, secrets: [] }, typical)).not.toEqual([]);
    });

    it.skipIf(steady.has(id))('without its volatile rules is another text each time', async () => {
      expect(await checkStability({ ...driver, volatile: [] }, typical)).not.toEqual([]);
    });

    it('without its pagers cannot read a device that pages', async () => {
      const paged = loadCase(id, pagedCase[id] ?? 'typical');
      const dialogues = driver.dialogues.map((one) =>
        one.channel === 'shell' ? { ...one, pagers: [] } : one,
      );
      const mutated = { ...driver, dialogues: dialogues as unknown as Driver['dialogues'] };
      expect(await checkArtefacts(mutated, paged, 1)).not.toEqual([]);
    });
  });
}

it('a tmsh prompt that is not pinned takes the prompt of another host for the end', async () => {
  const driver = (await loadDrivers()).get('f5_bigip');
  if (driver === undefined) throw new Error('no such driver');
  const fixture = loadCase('f5_bigip', 'tmsh-short-prompt');
  expect(await checkPauses(withUnpinnedPrompts(driver), fixture)).not.toEqual([]);
});
