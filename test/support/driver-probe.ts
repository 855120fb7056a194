import { readFileSync } from 'node:fs';
import type { ArtefactCommand, Driver, Verdict } from '../../src/drivers/driver.ts';
import { createMask } from '../../src/pipeline/mask.ts';
import { normalise } from '../../src/pipeline/normalise.ts';
import { redact } from '../../src/pipeline/redact.ts';

/** The modes that `line` is, with the host that it names; in a shell dialogue of `driver`. */
export function modesOf(driver: Driver, line: string): readonly { mode: string; host: string | null }[] {
  return driver.dialogues.flatMap((dialogue) =>
    dialogue.channel === 'exec'
      ? []
      : Object.entries(dialogue.modes).flatMap(([mode, spec]) => {
          const match = spec.line.exec(line);
          return match === null ? [] : [{ mode, host: match.groups?.host ?? null }];
        }),
  );
}

/** The names of the modes that are prompts and that `line` is. */
export function promptsOf(driver: Driver, line: string): readonly string[] {
  const prompts = new Set(
    driver.dialogues.flatMap((dialogue) =>
      dialogue.channel === 'exec'
        ? []
        : Object.entries(dialogue.modes).flatMap(([mode, spec]) => (spec.kind === 'prompt' ? [mode] : [])),
    ),
  );
  return modesOf(driver, line).flatMap(({ mode }) => (prompts.has(mode) ? [mode] : []));
}

/** The command that reads the configuration. */
export function artefactOf(driver: Driver): ArtefactCommand {
  const command = driver.commands.find(({ keep }) => keep === 'artefact');
  if (command?.keep !== 'artefact') throw new Error(`${driver.id} has no artefact`);
  return command;
}

/** What the driver's own rules of completeness say, without prompt or exit status. */
export function judged(driver: Driver, text: string): Verdict {
  const { firstLine, lastLine, atLeastLines, structure } = artefactOf(driver).wholeWhen;
  const filled = text.split('\n').filter((line) => line.trim() !== '');
  if (filled.length < atLeastLines) return { whole: false, because: 'too few lines' };
  if (firstLine !== undefined && !firstLine.test(filled[0] ?? ''))
    return { whole: false, because: 'first line' };
  if (lastLine !== undefined && !lastLine.test(filled.at(-1) ?? ''))
    return { whole: false, because: 'last line' };
  return structure?.(text) ?? { whole: true };
}

/** The text up to every line feed but the last one: every way to lose lines at the end. */
export function* cutsAtLines(text: string): Generator<string> {
  for (let at = text.indexOf('\n'); at !== -1 && at < text.length - 1; at = text.indexOf('\n', at + 1)) {
    yield text.slice(0, at + 1);
  }
}

const mask = createMask(Buffer.alloc(32, 7), 'probe');

/** What git would see of `text`. */
export function masked(driver: Driver, text: string): string {
  return redact(driver, normalise(driver, text), mask).text;
}

/** The value of every fact that the output of one command gives; the first rule that matches wins. */
export function factsIn(driver: Driver, from: string, text: string): Record<string, string> {
  const facts: Record<string, string> = {};
  for (const rule of driver.facts) {
    if (rule.from !== from || rule.fact in facts) continue;
    for (const line of text.split('\n')) {
      const value = rule.line.exec(line)?.groups?.value;
      if (value === undefined) continue;
      facts[rule.fact] = value.trim();
      break;
    }
  }
  return facts;
}

/** A file of the corpus as the pipeline would hold it: one character per byte. */
export function latin1File(path: string): string {
  return readFileSync(path, 'latin1');
}
