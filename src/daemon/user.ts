import { userInfo } from 'node:os';

/**
 * Who runs this process, for records that name a person: `alice`; `alice as roundsman` where sudo says who asked. A
 * user without a name is `uid 10001`. It is what the caller says of itself, not what was proven.
 */
export function personAsking(env: Readonly<Record<string, string | undefined>>): string {
  const user = userName();
  const { SUDO_USER: person = '' } = env;
  return person === '' || person === user ? user : `${person} as ${user}`;
}

/** Throws nothing: in a container the number of a user need not have a name. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
