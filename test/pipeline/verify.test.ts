import { describe, expect, it } from 'vitest';
import { BackupError } from '../../src/core/errors.ts';
import type { ArtefactCommand, Capture } from '../../src/drivers/driver.ts';
import { createMask } from '../../src/pipeline/mask.ts';
import { normalise } from '../../src/pipeline/normalise.ts';
import { redact } from '../../src/pipeline/redact.ts';
import { verify } from '../../src/pipeline/verify.ts';
import { capture, tiny } from './tiny-driver.ts';

const command = (name: string): ArtefactCommand =>
  tiny.commands.find((candidate) => candidate.name === name) as ArtefactCommand;
const mask = createMask(Buffer.alloc(32, 1), 'fw1');

/** Why the reading is refused; null where it is taken. */
function refusal(first: Capture, again: Capture | null = null, name = 'running-config'): string | null {
  try {
    const comparable = (text: string) => redact(tiny, normalise(tiny, text), mask).text;
    verify(command(name), { name, capture: first, again, comparable });
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(BackupError);
    const { code, detail } = error as BackupError<'verify.incomplete'>;
    expect(code).toBe('verify.incomplete');
    return detail.because;
  }
}

const whole = 'begin\ninterface one\n up\n';

describe('verify', () => {
  it('takes a reading that every rule speaks for', () => {
    expect(refusal(capture(whole))).toBeNull();
  });

  it.each([
    ['nothing', '', 'the answer is empty'],
    ['blanks and NUL only', ' \n\0\0\r\n', 'the answer is empty'],
    ['another first line', 'start\na\nb\n', 'the first line is not how this platform begins'],
    ['too few lines', 'begin\n\n\n\na\n', 'fewer than the 3 lines that every copy has'],
    ['a broken structure', 'begin\nbroken\nb\n', 'a block is broken'],
    ['a FortiOS pager', 'begin\n--More-- \r      \ra\nb\n', 'a pager interrupted the answer'],
    ['a pager that stands alone', 'begin\n--More-- \na\nb\n', 'a pager interrupted the answer'],
    [
      'a pager that was wiped with backspaces',
      'begin\n--More--\b\b\b\ba\nb\n',
      'a pager interrupted the answer',
    ],
    ['a pager that a colour follows', 'begin\n-- More -- \x1b[0ma\nb\n', 'a pager interrupted the answer'],
    [
      'an ASA pager with its erasure',
      'begin\n<--- More --->\r     \ra\nb\n',
      'a pager interrupted the answer',
    ],
    ['an ASA pager', 'begin\na\n<--- More --->\n', 'a pager interrupted the answer'],
    ['a tmsh pager', 'begin\na\n---(less 3%)---\nb\n', 'a pager interrupted the answer'],
  ])('refuses %s', (_what, text, because) => {
    expect(refusal(capture(text))).toBe(because);
  });

  it('takes a line that begins with the words of a pager and goes on', () => {
    expect(refusal(capture('begin\n--More-- of this on the next page"\nb\n'))).toBeNull();
  });

  it('takes pager words in the middle of a line', () => {
    expect(refusal(capture('begin\n banner press at --More--\nb\n'))).toBeNull();
  });

  it('refuses a text without its end marker', () => {
    expect(refusal(capture('a\n: end\n'), null, 'marked')).toBeNull();
    expect(refusal(capture('a\n: en\n'), null, 'marked')).toBe('the last line is not how this platform ends');
  });

  it('refuses a command that failed or ended without a status', () => {
    expect(refusal(capture(whole, { endedBy: 'exit-status', exitStatus: 0 }))).toBeNull();
    expect(refusal(capture(whole, { endedBy: 'exit-status', exitStatus: 1 }))).toBe('exit status 1');
    expect(refusal(capture(whole, { endedBy: 'exit-status', exitStatus: null }))).toBe(
      'the command ended without an exit status',
    );
  });

  it('refuses two readings that differ', () => {
    expect(refusal(capture(whole), capture(`${whole}more\n`))).toBe('two readings differ (3 and 4 lines)');
  });

  it('refuses a second reading that is not whole', () => {
    expect(refusal(capture(whole), capture(''))).toBe('second reading: the answer is empty');
  });

  it('does not mind volatile lines and rotating secrets between two readings', () => {
    const first = capture(`${whole}uptime 1\ncipher aaaa\n`);
    expect(refusal(first, capture(`${whole}uptime 2\ncipher bbbb\n`))).toBeNull();
  });

  it('does mind a secret that changed between two readings', () => {
    expect(refusal(capture(`${whole}password a\n`), capture(`${whole}password b\n`))).toMatch(/differ/);
  });
});
