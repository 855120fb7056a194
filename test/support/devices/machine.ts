import type { DeviceSpec, LoginMethod } from './spec.ts';

/**
 * A platform's terminal as data: which lines lead where, and how the wire looks. persona.ts runs it.
 * Texts may hold `{{host}}`, `{{status}}`, `{{folder}}`, `{{line}}` (what was typed) and the
 * placeholders of render.ts.
 */
export interface Machine {
  readonly habits: Habits;
  readonly greeting: string;
  readonly start: string;
  readonly states: { readonly [name: string]: State };
  /** What an exec request does. */
  readonly exec: (line: string) => ExecAnswer;
}

export interface Habits {
  /** What the echo of Enter looks like. */
  readonly enter: string;
  readonly beforePrompt: string;
  /** An echo that reaches the right margin is drawn again with `$` in front of its tail. */
  readonly scrollsLongLines: boolean;
  readonly pager: Pager;
}

/** How a long answer is handed out. */
export interface Pager {
  readonly marker: (percent: number) => string;
  /** Sent before the first screen and after the last. */
  readonly opens: string;
  readonly closes: string;
  readonly erase: string;
  /** Lines a screen, or the height of the terminal. */
  readonly rows: number | 'terminal';
  /** A last screen waits for `q` with this marker; null: the prompt follows at once. */
  readonly atEnd: string | null;
  /** Rows are counted on the screen: long lines are wrapped, and a screen can end inside one. */
  readonly wraps: boolean;
  /** Greetings are paged as well. */
  readonly pagesGreeting: boolean;
}

export type State =
  | {
      readonly kind: 'prompt';
      readonly prompt: string;
      readonly replies: readonly Reply[];
      /** The answer to every other line. */
      readonly unknown: string;
    }
  /** Asks for a secret or a name; every typed character echoes as `echo`, or as itself where that is null. */
  | {
      readonly kind: 'secret';
      readonly prompt: string;
      readonly echo: string | null;
      readonly expects: string | null;
      readonly right: string;
      readonly wrong: { readonly attempts: number; readonly text: string; readonly to: string };
    }
  /** Waits for one of these keys; others are ignored. */
  | {
      readonly kind: 'key';
      readonly prompt: string;
      readonly keys: { readonly [key: string]: { readonly echo: string; readonly to: string } };
    };

export interface Reply {
  readonly on: RegExp;
  readonly text?: string;
  readonly to?: string;
  /** Turns the pager off for this session. */
  readonly pagerOff?: true;
  /** Ends the session after the text. */
  readonly ends?: true;
  /** Where the session is now, for `{{folder}}`; `$1` is the first group of `on`. */
  readonly folder?: string;
  /** Asked first when the answer has more lines than `over`; `y` goes on, anything else returns to the prompt. */
  readonly confirm?: { readonly over: number; readonly question: string };
}

/** What an exec request gives. `exitStatus` null: the channel never ends. */
export interface ExecAnswer {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitStatus: number | null;
  /** Files that are there from now on; null: no longer. */
  readonly files?: { readonly [path: string]: string | null };
}

/** One simulated platform: what platforms/<id>.ts exports as `platform`. */
export interface FakePlatform {
  readonly machine: (spec: DeviceSpec) => Machine;
  /** What its SSH server calls itself, without `SSH-2.0-`. */
  readonly ident: string;
  /** Offered methods, in the order in which they are announced. */
  readonly methods: readonly LoginMethod[];
  /** Wrong passwords after which it hangs up. */
  readonly attempts: number;
  /** It then locks the source out: the right password is refused as well. */
  readonly locksOut?: true;
}
