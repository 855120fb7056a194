import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Fleet } from '../fleet/fleet.ts';
import type { FleetDevice } from '../fleet/options.ts';

/** Every device once, so many of them at a time. */
export interface Round {
  readonly devices: readonly FleetDevice[];
  readonly port: number;
  readonly atOnce: number;
}

export interface FloorCost {
  readonly wallMs: number;
  /** User and system. */
  readonly cpuMs: number;
}

export interface Floor extends AsyncDisposable {
  round(fleet: Fleet, atOnce: number): Promise<FloorCost>;
}

/** A bare SSH client in a process of its own. The first round warms it up, as that of a daemon does. */
export function startFloor(): Floor {
  const child = fork(fileURLToPath(new URL('client.ts', import.meta.url)), { execArgv: [] });
  const gone = once(child, 'exit');
  return {
    async round({ devices, port }, atOnce) {
      const answer = once(child, 'message');
      child.send({ devices: [...devices], port, atOnce } satisfies Round);
      const first = await Promise.race([answer, gone.then(() => null)]);
      if (first === null) throw new Error('the floor ended by itself');
      return first[0] as FloorCost;
    },
    async [Symbol.asyncDispose]() {
      if (child.connected) child.disconnect();
      await gone;
    },
  };
}
