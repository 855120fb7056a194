import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OperationError } from '../../src/core/errors.ts';
import type { OwnedContext } from '../../src/daemon/context.ts';
import { createTurns } from '../../src/daemon/lives.ts';
import type { DaemonMetrics } from '../../src/daemon/metrics-source.ts';
import { createReload, type ReloadHands } from '../../src/daemon/reload.ts';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import type { Scheduler } from '../../src/scheduler/scheduler.ts';
import { credentialsYaml, deviceYaml } from '../support/workspace.ts';
import { type Installation, install, keptLog } from './support.ts';

function inventory(...names: string[]): string {
  const entries = names.map((name) => deviceYaml({ name, platform: 'cisco_asa', port: 22 }));
  return `${credentialsYaml}devices:\n${entries.join('')}`;
}

let installation: Installation;

beforeEach(async () => {
  installation = await install(inventory('fw1', 'fw2'));
});
afterEach(() => installation[Symbol.asyncDispose]());

async function reloading(reread?: OwnedContext['reread'], web?: ReloadHands['web']) {
  const { context } = installation;
  const state = await context.changing();
  const { log, lines } = keptLog();
  const taken: string[][] = [];
  const scheduler = {
    reload: (devices: readonly PlannedDevice[]) => void taken.push(devices.map(({ name }) => name)),
  } as Partial<Scheduler> as Scheduler;
  const views = { loaded: () => {}, measure: async () => {} } as unknown as DaemonMetrics;
  const changed: OwnedContext = { ...context, reread: reread ?? context.reread };
  const reload = createReload({
    context: changed,
    state,
    scheduler,
    views,
    syslog: { configure: () => {} },
    replication: { configure: () => {} },
    lives: { settle: async () => {} },
    web: web ?? (async () => () => {}),
    inTurn: createTurns(),
    log,
  });
  return { reload, taken, lines, scheduler, state, context };
}

describe('a reload', () => {
  it('asked for while one is under way is shared by all who ask, and reads what lies there then', async () => {
    const { context } = installation;
    const { reload, taken } = await reloading(async () => {
      const read = await context.reread();
      // Slow enough for everybody to ask meanwhile, and for a second one to overtake.
      await new Promise((resolve) => setImmediate(resolve));
      return read;
    });
    const first = reload(false);
    await Promise.resolve();
    await Promise.resolve();
    const shared = Array.from({ length: 100 }, () => reload(false));
    installation.inventory(inventory('fw1', 'fw2', 'fw3'));
    await Promise.all([first, ...shared]);
    expect(taken.length).toBeLessThanOrEqual(2);
    expect(taken.at(-1)).toEqual(['fw1', 'fw2', 'fw3']);
    expect(new Set(await Promise.all(shared)).size).toBe(1);
  });

  it('is not overtaken by a later one: the newest reading is the one in use', async () => {
    const { context } = installation;
    const held = Promise.withResolvers<void>();
    let readings = 0;
    const { reload, taken } = await reloading(async () => {
      const read = await context.reread();
      readings += 1;
      if (readings === 1) await held.promise;
      return read;
    });
    const first = reload(false);
    await expect.poll(() => readings).toBe(1);
    installation.inventory(inventory('fw1', 'fw2', 'fw3'));
    const second = reload(false);
    // Long enough for it to be done, were it let.
    await Promise.race([second, new Promise((resolve) => setTimeout(resolve, 500))]);
    held.resolve();
    await Promise.all([first, second]);
    expect(taken.at(-1)).toEqual(['fw1', 'fw2', 'fw3']);
    expect((await context.configuration()).devices).toHaveLength(3);
  });

  it('that is refused keeps nobody else from the next one', async () => {
    const { reload, taken } = await reloading();
    installation.inventory('devices: nonsense\n');
    await expect(reload(false)).rejects.toThrow();
    installation.inventory(inventory('fw1', 'fw2', 'fw3'));
    expect(await reload(false)).toEqual({ devices: 3, added: 1, removed: 0 });
    expect(taken).toHaveLength(1);
  });

  it('whose record cannot be written changes nothing', async () => {
    const { reload, taken, state, context } = await reloading();
    installation.inventory(inventory('fw1', 'fw2', 'fw3'));
    const { record } = state.ledger;
    Object.assign(state.ledger, {
      record() {
        throw new Error('disk I/O error');
      },
    });
    await expect(reload(false)).rejects.toThrow('disk I/O error');
    Object.assign(state.ledger, { record });
    expect(taken).toEqual([]);
    expect((await context.configuration()).devices).toHaveLength(2);
  });

  it('that the scheduler refuses leaves no record of one', async () => {
    const { reload, scheduler, state, context } = await reloading();
    const length = state.ledger.chainLength();
    Object.assign(scheduler, {
      reload() {
        throw new OperationError('fw1 is known with another platform', 'rename it');
      },
    });
    await expect(reload(false)).rejects.toThrow('another platform');
    expect(state.ledger.chainLength()).toBe(length);
    expect((await context.configuration()).devices).toHaveLength(2);
  });

  it('counts a renamed device neither as added nor as removed', async () => {
    const { reload } = await reloading();
    const renamed = deviceYaml({ name: 'fw9', platform: 'cisco_asa', port: 22 }, 'formerly: [fw2]');
    installation.inventory(`${inventory('fw1')}${renamed}`);
    expect(await reload(false)).toEqual({ devices: 2, added: 0, removed: 0 });
  });

  it.each([
    ['secrets:', 'secrets:\n  in_git: keep', 'secrets'],
    ['workers: 32', 'socket: ./other.sock', 'socket'],
    ['secrets:', 'git: { sign_key: { file: sign.key } }\nsecrets:', 'git.sign_key'],
  ])('that changes %s is refused by name: the daemon holds it open', async (from, to, name) => {
    const { reload, lines, context } = await reloading();
    const { file } = await context.configuration();
    writeFileSync(file, readFileSync(file, 'utf8').replace(from, to));
    await expect(reload(true)).rejects.toThrow(`${name} cannot change while the daemon runs`);
    expect(lines.join('\n')).toContain(`${name} cannot change`);
  });
});
