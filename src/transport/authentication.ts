import { clip, harmless } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';

/** What there is to log in with. */
export interface LoginMeans {
  readonly username: string;
  readonly privateKey: boolean;
  readonly agent: boolean;
  /** Null: no password is ever sent. */
  readonly password: string | null;
}

export type Attempt = 'none' | 'publickey' | 'agent' | 'password' | 'keyboard-interactive';

/** A question of keyboard-interactive authentication (RFC 4256). */
export interface Question {
  readonly prompt: string;
  /** Whether the answer may be shown while it is typed. */
  readonly echo: boolean;
}

/**
 * Which authentication requests one login makes. `none` tells what the server offers; then a key or the
 * agent where it is offered; then the password, once: by `password` where that is offered, else by
 * `keyboard-interactive`. A password that was refused is never sent again, by whatever method: FortiGate
 * shuts out the address of the collector after three bad attempts, and AAA servers lock the account.
 */
export class Authentication {
  readonly #means: LoginMeans;
  #asked = false;
  #keyTried = false;
  #agentTried = false;
  #passwordTried = false;
  #passwordSent = false;
  #offered: readonly string[] = [];

  constructor(means: LoginMeans) {
    this.#means = means;
  }

  /**
   * The next request, or the failure that ends the login: `login.rejected` or `login.method-unavailable`.
   * `offered` is what the server says can continue (null before the first answer); `partial` tells that
   * it accepted the last request and wants another one besides.
   */
  next(offered: readonly string[] | null, partial: boolean): Attempt | BackupError {
    if (!this.#asked) {
      this.#asked = true;
      return 'none';
    }
    const methods = (offered ?? []).filter((method) => method !== '');
    this.#offered = methods.slice(0, 20).map((method) => this.plain(method));
    const { privateKey, agent, password } = this.#means;
    if (this.#passwordTried && !partial) return this.rejected();

    if (methods.includes('publickey')) {
      if (privateKey && !this.#keyTried) {
        this.#keyTried = true;
        return 'publickey';
      }
      if (agent && !this.#agentTried) {
        this.#agentTried = true;
        return 'agent';
      }
    }
    if (password !== null && !this.#passwordTried) {
      if (methods.includes('password')) {
        this.#passwordTried = true;
        this.#passwordSent = true;
        return 'password';
      }
      if (methods.includes('keyboard-interactive')) {
        this.#passwordTried = true;
        return 'keyboard-interactive';
      }
    }
    if (this.anythingTried && !partial) return this.rejected();
    return new BackupError('login.method-unavailable', {
      offered: this.#offered,
      wanted: [
        ...(privateKey || agent ? ['publickey'] : []),
        ...(password === null ? [] : ['password', 'keyboard-interactive']),
      ],
    });
  }

  /** Whether a key was shown or the password was sent. */
  get anythingTried(): boolean {
    return this.#keyTried || this.#agentTried || this.#passwordSent;
  }

  /** The answer to a round of questions (never empty: ssh2 answers a round without questions itself). */
  answer(instructions: string, questions: readonly Question[]): readonly string[] | BackupError {
    const { username, password } = this.#means;
    const [first] = questions;
    const asked = questions.map((question) => question.prompt).join(' ');
    if (wantsNewPassword(instructions, asked, this.#passwordSent)) {
      return new BackupError('login.password-expired', { username });
    }
    const isPassword =
      first !== undefined && questions.length === 1 && !first.echo && asksForPassword(first.prompt);
    if (!isPassword || password === null) {
      return new BackupError('login.question-unknown', { question: this.plain(asked) });
    }
    if (this.#passwordSent) return this.rejected();
    this.#passwordSent = true;
    return [password];
  }

  rejected(): BackupError {
    return new BackupError('login.rejected', { username: this.#means.username, methods: this.#offered });
  }

  /** Text of the server for an error: harmless, bounded, and without the password, should it send that back. */
  plain(text: string): string {
    const { password } = this.#means;
    const bounded = text.slice(0, 2_000).trim();
    const clean = password === null || password === '' ? bounded : bounded.replaceAll(password, '«password»');
    return clip(harmless(clean), 200);
  }
}

/** Whether this prompt asks for the login password and nothing else, such as a one-time code. */
function asksForPassword(prompt: string): boolean {
  const line =
    prompt
      .trimEnd()
      .split(/[\r\n]/)
      .at(-1)
      ?.slice(-200) ?? '';
  return (
    /pass(?:word|code)?(?: for \S+?)?\s*:?$/i.test(line) &&
    !/one[- ]?time|\botp\b|token|verif|\bnew\b|\bold\b|current|re-?type|re-?enter|confirm|again/i.test(line)
  );
}

/**
 * Whether this is the forced change of an expired password, such as BIG-IP's "You are required to
 * change your password immediately" (pam_unix) with "New BIG-IP password:".
 */
function wantsNewPassword(instructions: string, asked: string, passwordSent: boolean): boolean {
  const prompt = asked.slice(0, 2_000);
  const text = `${instructions.slice(0, 2_000)} ${prompt}`;
  return (
    /\byou (?:are required|must|need|have) (?:to )?change your password/i.test(text) ||
    /\bnew\b[^.:]{0,40}password/i.test(prompt) ||
    /password (?:has|is) expired|expired password/i.test(prompt) ||
    (passwordSent && /\b(?:current|old)\b[^.:]{0,40}password/i.test(prompt))
  );
}
