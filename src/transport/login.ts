import { BackupError } from '../core/errors.ts';
import type { Credential, Move, ShellDialogue } from '../drivers/driver.ts';
import type { Surroundings } from './conversation.ts';
import { doubtMs, settleMs } from './patience.ts';
import { filled } from './placeholders.ts';
import { echoBytes, findEcho } from './screen.ts';
import type { Place, Terminal } from './terminal.ts';

/** No login has more steps; a device that asks in circles is left. */
const loginSteps = 16;
/** Banners are shorter. */
const loginBytes = 1024 * 1024;

/**
 * From the greeting to a prompt at which commands run. After everything that is typed, the last line
 * has to be one of the modes that `leadsTo` names; anything else ends the login, and nothing more is
 * typed. A credential is typed once at most, in the mode that asks for it.
 *
 * Throws BackupError: `login.*`, `connect.lost-before-login`, `inventory.secret-unavailable`.
 */
export async function login(terminal: Terminal, surroundings: Surroundings): Promise<Place> {
  const { dialogue } = terminal;
  const { clock, connectedAtMs, device, secrets } = surroundings;
  const { username } = device.credentials;
  const typed = new Set<Credential>();

  const rejected = (credential: Credential): BackupError =>
    credential === 'enable'
      ? new BackupError('login.enable-rejected', { username })
      : new BackupError('login.rejected', { username, methods: ['password'] });

  const failAtDeadEnd = ({ mode }: Place): void => {
    const spec = dialogue.modes[mode];
    if (spec?.kind !== 'dead-end') return;
    if (spec.failsWith === 'login.rejected') throw rejected('password');
    throw new BackupError(spec.failsWith, { username });
  };

  /** Waits until one of the `expected` modes is reached; `from`: the prompt at which `sent` was typed. */
  const arrive = (expected: readonly string[], from: Place | null, sent: string): Promise<Place> => {
    // Without the echo, the prompt may be the old one, drawn again just as we typed.
    const settled = (): number => {
      if (from === null) return settleMs;
      const isPrompt = (text: string) => terminal.promptOf(text) !== null;
      return findEcho(terminal.received.head(echoBytes), sent, from.line, isPrompt) === null
        ? doubtMs
        : settleMs;
    };
    const nothingYet = { lookAgainAfterQuietMs: device.timeouts.loginMs };
    let pressedAt = -1;
    return terminal.until<Place>({
      look: (quietMs) => {
        const mark = terminal.waitingPager();
        if (mark !== null && mark.start !== pressedAt) {
          pressedAt = mark.start;
          terminal.press(mark.press);
          return nothingYet;
        }
        const line = terminal.lastLine();
        if (line === null) return nothingYet;
        const place = terminal.placeOf(line, expected);
        if (place === null) {
          if (terminal.placeOf(line) === null) return nothingYet;
          // Another state that we know ends the login; not at once, a banner may look like it for a moment.
          if (quietMs >= doubtMs) throw terminal.unrecognised(expected);
          return { lookAgainAfterQuietMs: doubtMs };
        }
        const neededMs = settled();
        if (quietMs < neededMs) return { lookAgainAfterQuietMs: neededMs };
        failAtDeadEnd(place);
        return { found: place };
      },
      ended: ({ error }) => {
        const place = terminal.placeOf(terminal.lastVisibleLine(), expected);
        if (place !== null) failAtDeadEnd(place);
        const afterMs = Math.round(clock.monotonicMs() - connectedAtMs);
        throw new BackupError(
          'connect.lost-before-login',
          { afterMs, credentialSent: true },
          { cause: error },
        );
      },
      limitBytes: loginBytes,
      tooLarge: () => terminal.unrecognised(expected),
      deadline: {
        atMs: connectedAtMs + device.timeouts.loginMs,
        failure: () => terminal.unrecognised(expected),
      },
    });
  };

  /** Without the questions that these options do not lead to: a device could ask for a secret that it was never to see. */
  const possible = (modes: readonly string[]): readonly string[] =>
    modes.filter((mode) => {
      const spec = dialogue.modes[mode];
      return spec?.kind !== 'question' || spec.when?.(surroundings.options) !== false;
    });

  let expected: readonly string[] = possible(dialogue.greetedBy);
  let from: Place | null = null;
  let sent = '';
  for (let step = 0; step < loginSteps; step++) {
    const place = await arrive(expected, from, sent);
    const spec = dialogue.modes[place.mode];
    if (spec?.kind === 'question') {
      const { answer } = spec;
      if ('credential' in answer) {
        // Asked again: it was wrong. Typing it again locks accounts.
        if (typed.has(answer.credential)) throw rejected(answer.credential);
        const value = await secrets.toType(answer.credential);
        typed.add(answer.credential);
        if (answer.credential === 'username') terminal.type(value);
        else terminal.typeSecret(value, answer.credential);
      } else if (answer.enter) terminal.type(answer.text);
      else terminal.typeKey(answer.text);
      expected = possible(spec.leadsTo);
      from = null;
      continue;
    }
    terminal.pin(place);
    if (dialogue.worksIn.includes(place.mode)) return place;
    const move = wayFrom(place.mode, dialogue);
    if (move === null) throw terminal.unrecognised(dialogue.worksIn);
    sent = filled(move.send, surroundings.options);
    terminal.type(sent);
    expected = possible(move.leadsTo);
    from = place;
  }
  throw terminal.unrecognised(expected);
}

/** The first step of the shortest way to a prompt at which commands run; null where there is none. */
function wayFrom(mode: string, { modes, worksIn }: ShellDialogue): Move<string> | null {
  const movesOf = (name: string): readonly [string, Move<string>][] => {
    const spec = modes[name];
    if (spec?.kind !== 'prompt' || spec.moves === undefined) return [];
    return Object.entries<Move<string> | undefined>(spec.moves).flatMap(([to, move]) =>
      move === undefined ? [] : [[to, move]],
    );
  };
  const seen = new Set([mode]);
  const queue = movesOf(mode).map(([to, first]) => ({ to, first }));
  for (const { to, first } of queue) {
    if (worksIn.includes(to)) return first;
    if (seen.has(to)) continue;
    seen.add(to);
    queue.push(...movesOf(to).map(([next]) => ({ to: next, first })));
  }
  return null;
}
