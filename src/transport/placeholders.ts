import type { Driver, Item, Options } from '../drivers/driver.ts';

/*
 * What stands in braces in a driver's lines. Values of a device or of the inventory are typed only through here.
 */

/** A name of a context, a VDOM or a file that no shell and no command line takes for more than a word. */
const plainValue = /^[A-Za-z0-9._:/@+~-]{1,128}$/;
/** A word in braces that stands for a value; the braces of a device's own syntax hold blanks. */
const placeholder = /\{([A-Za-z][A-Za-z0-9_]*)\}/g;

/** The first value of `item` that is never typed; null where all of them are plain. */
export function unplain(item: Item): string | null {
  return Object.values(item).find((value) => typeof value !== 'string' || !plainValue.test(value)) ?? null;
}

/** `template` with the values that it names. Throws Error where it names one that is not there: a driver's bug. */
export function filled(template: string, values: Item | Options): string {
  return template.replace(placeholder, (whole, name: string) => {
    if (!Object.hasOwn(values, name)) throw new Error(`the driver names ${whole}, which is not there`);
    return String(values[name]);
  });
}

/** Every option of `driver`: as `chosen` says, else as is standard. */
export function optionsOf(driver: Driver, chosen: Options): Options {
  const standard = (driver.options ?? []).map((option) => [option.name, option.standard] as const);
  return { ...Object.fromEntries(standard), ...chosen };
}
