import type { ArtefactCommand, Driver } from '../drivers/driver.ts';

/**
 * The command that an artefact comes from; null where the driver has none like it any more. An artefact of a command
 * with `forEach` bears the values of its item in its name.
 */
export function commandOf(driver: Driver, artefact: string): ArtefactCommand | null {
  const commands = driver.commands.filter((command) => command.keep === 'artefact');
  return (
    commands.find(({ name }) => name === artefact) ??
    commands.find(({ name, forEach }) => forEach !== undefined && isMadeFrom(artefact, name)) ??
    null
  );
}

/** Whether `name` is `template` with something in the place of each `{key}`. */
function isMadeFrom(name: string, template: string): boolean {
  const literal = template.split(/\{[^{}]*\}/).map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${literal.join('.+')}$`, 's').test(name);
}

/** Names in a subject: a device may have hundreds of contexts. */
const mostNames = 3;

/** `a, b, c`, and where there are more `a, b, c and 12 more`. */
export function namesInShort(names: readonly string[]): string {
  const shown = names.slice(0, mostNames).join(', ');
  return names.length <= mostNames ? shown : `${shown} and ${names.length - mostNames} more`;
}
