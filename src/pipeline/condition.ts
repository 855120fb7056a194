import type { Condition, Facts } from '../core/device.ts';
import { clip, decodeBytes, harmless } from '../core/display.ts';
import type { Driver, Seen } from '../drivers/driver.ts';
import { longestFact, mostSerials } from './facts.ts';
import type { Worth } from './worth.ts';

/** What the answers of one session tell together, harmless to show. */
export interface Standing {
  readonly condition: Condition;
  /** Serial numbers of the other members of its group; at most 64. */
  readonly partnerSerials: readonly string[];
  /** What makes the copy less than the device. */
  readonly worth: readonly Worth[];
}

/** The driver's `state`, made harmless. What it throws is a defect of the driver and is thrown on. */
export function standingOf(driver: Pick<Driver, 'state'>, seen: Seen): Standing {
  const { ha, standby, sync, unsaved, partnerSerials = [], worth = [] } = driver.state?.(seen) ?? {};
  return {
    condition: {
      ha: shown(ha),
      standby: standby ?? null,
      sync: shown(sync),
      unsaved: unsaved ?? null,
    },
    partnerSerials: [...new Set(partnerSerials)]
      .slice(0, mostSerials)
      .flatMap((serial) => shown(serial) ?? []),
    worth: worth.map(({ is, because }) => ({ is, because: shown(because) })),
  };
}

/** The serial numbers of a reading: the unit's own first, then its partners'; each once, at most 64. */
export function joinSerials(
  { serial }: Facts,
  named: readonly string[],
  partners: readonly string[],
): readonly string[] {
  return [...new Set([...(serial === null ? [] : [serial]), ...named, ...partners])].slice(0, mostSerials);
}

/** Null where there is nothing to show. */
function shown(text: string | undefined): string | null {
  const harmlessText = clip(harmless(decodeBytes(text ?? '').trim()), longestFact);
  return harmlessText === '' ? null : harmlessText;
}
