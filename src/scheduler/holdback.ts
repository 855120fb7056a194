/**
 * The hold-back of one credential, pure. A password that is wrong is wrong on every device that asks the
 * same AAA server: a fleet that tries it locks the account. Three stale or hostile boxes must not stop a
 * fleet either.
 */

/** What is remembered of one credential. Devices go by their names. */
export interface Hold {
  /** Devices that rejected it since a device last accepted it, in that order. */
  readonly rejectedBy: readonly string[];
  /** Devices that a success did not release: they rejected it while others accept it. */
  readonly refusedTo: readonly string[];
  /** When the oldest of `rejectedBy` rejected it. UTC epoch milliseconds. */
  readonly sinceMs: number;
  readonly held: boolean;
  readonly probedSlotMs: number | null;
  readonly probedAtMs: number | null;
}

/** A credential that nobody rejected. */
export const free: Hold = {
  rejectedBy: [],
  refusedTo: [],
  sinceMs: 0,
  held: false,
  probedSlotMs: null,
  probedAtMs: null,
};

/** So many different devices, with no success between, and it is held. */
const rejectionsAtMost = 3;
/** Between two probes, whatever the slots: devices with slots of their own would else probe all day. */
const probeEveryMs = 10 * 60_000;

/** What a device that wants to log in may do. */
export type Admission = 'free' | 'one-at-a-time' | 'probe' | 'held';

/**
 * `acceptedHere`: the last login of this device with this credential was accepted. `slotMs`: the slot of its
 * run; null where no slot asked for it: people do not probe.
 */
export function admission(
  hold: Hold,
  device: string,
  acceptedHere: boolean,
  slotMs: number | null,
  nowMs: number,
): Admission {
  if (hold.refusedTo.includes(device)) return 'held';
  if (!hold.held) return hold.rejectedBy.length === 0 ? 'free' : 'one-at-a-time';
  if (slotMs === null || !acceptedHere || hold.rejectedBy.includes(device)) return 'held';
  if (hold.probedSlotMs !== null && slotMs <= hold.probedSlotMs) return 'held';
  // A probe of the future was made by a wrong clock.
  const sinceProbeMs = hold.probedAtMs === null ? probeEveryMs : nowMs - hold.probedAtMs;
  return sinceProbeMs >= 0 && sinceProbeMs < probeEveryMs ? 'held' : 'probe';
}

/** A probe begins. */
export function probed(hold: Hold, slotMs: number, nowMs: number): Hold {
  return { ...hold, probedSlotMs: slotMs, probedAtMs: nowMs };
}

/** A device rejected the credential. */
export function rejected(hold: Hold, device: string, nowMs: number): Hold {
  const rejectedBy = hold.rejectedBy.includes(device) ? hold.rejectedBy : [...hold.rejectedBy, device];
  const sinceMs = hold.rejectedBy.length === 0 ? nowMs : hold.sinceMs;
  return { ...hold, rejectedBy, sinceMs, held: hold.held || rejectedBy.length >= rejectionsAtMost };
}

/** A device accepted the credential: all are released but those that rejected it while it was held. */
export function accepted(hold: Hold, device: string): Hold {
  const refused = hold.held ? [...hold.refusedTo, ...hold.rejectedBy] : hold.refusedTo;
  const refusedTo = [...new Set(refused)].filter((name) => name !== device);
  return { ...free, refusedTo, sinceMs: hold.sinceMs };
}
