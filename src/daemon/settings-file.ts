import { UsageError } from '../core/errors.ts';

/** The largest that is read. */
export const settingsBytes = 1024 * 1024;
/** `state_dir` where nothing else is said. */
export const usualStateDir = '/var/lib/roundsman';
const usualPlaces = ['/etc/roundsman/roundsman.yaml', './config/roundsman.yaml'] as const;

/**
 * The settings file to read: `explicit` (--config), else $ROUNDSMAN_CONFIG, else the first of the usual
 * places that exists. Throws UsageError where there is none.
 */
export function findSettings(
  explicit: string | null,
  env: Readonly<Record<string, string | undefined>>,
  exists: (file: string) => boolean,
): string {
  const told = explicit ?? env.ROUNDSMAN_CONFIG ?? '';
  if (explicit !== null || told !== '') {
    if (told !== '' && exists(told)) return told;
    throw new UsageError(
      `${explicit === null ? '$ROUNDSMAN_CONFIG' : '--config'} names a file that does not exist: ${told}`,
      'name an existing file, or make a first configuration: roundsman init DIR',
    );
  }
  const found = usualPlaces.find(exists);
  if (found !== undefined) return found;
  throw new UsageError(
    `no configuration found: there is neither ${usualPlaces.join(' nor ')}`,
    'make one with `roundsman init DIR`, or name yours with --config FILE or $ROUNDSMAN_CONFIG',
  );
}
