import { expect, it } from 'vitest';
import { Timekeeper } from '../../src/scheduler/timekeeper.ts';

const minute = 60_000;
const hour = 60 * minute;
const wall = 1_000 * hour;

/** One that has seen both clocks a minute ago. */
function keeper() {
  const time = new Timekeeper(wall - minute, 0);
  time.notice(wall, minute);
  return time;
}

it('a tick in time is nothing to note', () => {
  const time = keeper();
  expect(time.notice(wall + minute, 2 * minute)).toEqual({ jumpedByMs: null });
  expect(time.absences).toEqual([]);
});

it('a jump ahead is an absence as long as the jump, without the time that really passed', () => {
  const time = keeper();
  expect(time.notice(wall + 5 * hour, 2 * minute)).toEqual({ jumpedByMs: 5 * hour - minute });
  expect(time.absences).toEqual([{ fromMs: wall + minute, toMs: wall + 5 * hour, cause: 'clock' }]);
});

it('a process that stood still was away, and a clock that jumped meanwhile is said besides', () => {
  const time = keeper();
  expect(time.notice(wall + 3 * hour, hour + minute)).toEqual({ jumpedByMs: 2 * hour });
  expect(time.absences).toEqual([
    { fromMs: wall, toMs: wall + hour, cause: 'collector_down' },
    { fromMs: wall + hour, toMs: wall + 3 * hour, cause: 'clock' },
  ]);
});

it('a clock that goes back takes back what was noted of the time to come, and the start of the process', () => {
  const time = keeper();
  time.notice(wall + 5 * hour, 2 * minute);
  expect(time.notice(wall + 2 * hour, 3 * minute).jumpedByMs).toBeLessThan(0);
  expect(time.absences).toEqual([{ fromMs: wall + minute, toMs: wall + 2 * hour, cause: 'clock' }]);
  time.notice(wall - 5 * hour, 4 * minute);
  expect(time.absences).toEqual([]);
  expect(time.upSinceMs).toBe(wall - 5 * hour);
});

it('a pause is an absence once it is over, also where the clock went back in it', () => {
  const time = keeper();
  time.pause(wall);
  time.pause(wall + minute);
  expect([time.paused, time.absences]).toEqual([true, []]);
  time.notice(wall - hour, 2 * minute);
  time.resume(wall - hour + minute);
  expect(time.paused).toBe(false);
  expect(time.absences).toEqual([{ fromMs: wall - hour, toMs: wall - hour + minute, cause: 'paused' }]);
});
