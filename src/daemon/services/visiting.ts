import type { Scheduler } from '../../scheduler/scheduler.ts';

/** Has a session to a device when it has its turn among the runs. */
export type Visiting = Scheduler['visit'];

/** Where no scheduler keeps the turns: at once. */
export const atOnce: Visiting = (_name, signal, work) => work(signal);
