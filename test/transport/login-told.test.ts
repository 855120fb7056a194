import { afterEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/transport/ssh.ts';
import {
  failure,
  requestFor,
  type ServerOptions,
  startServer,
  startTcp,
  testDevice,
} from '../support/ssh-server.ts';
import { asa, asaDriver, play } from './tiny.ts';

/** What the hold-back of credentials and the retries have to know of a login. */

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function lostAt(authenticate: NonNullable<ServerOptions['authenticate']>) {
  const there = await startServer({ authenticate });
  cleanups.push(there.stop);
  return { there, failure: failure(connect(requestFor(testDevice(there.port)))) };
}

describe('a connection that is lost before login', () => {
  it('says that a credential was sent, where one was', async () => {
    const { there, failure: lost } = await lostAt((context) => {
      if (context.method === 'none') context.reject(['password']);
      else there.cut();
    });
    expect(await lost).toMatchObject({
      code: 'connect.lost-before-login',
      detail: { credentialSent: true },
    });
  });

  it('says nothing of it, where it was not', async () => {
    const { there, failure: lost } = await lostAt(() => there.cut());
    const { code, detail } = await lost;
    expect(code).toBe('connect.lost-before-login');
    expect(detail).not.toHaveProperty('credentialSent');
    const shut = await startTcp((socket) => socket.end());
    cleanups.push(shut.stop);
    const early = await failure(connect(requestFor(testDevice(shut.port))));
    expect(early.detail).not.toHaveProperty('credentialSent');
  });
});

describe('a login that the device accepted', () => {
  it('is told once the prompt is reached, before the first command', async () => {
    const typed: string[] = [];
    const shell = asa();
    const played = await play({
      driver: asaDriver,
      shell,
      request: { onLoggedIn: () => typed.push('accepted') },
    });
    expect(played.failure).toBeNull();
    expect(typed).toEqual(['accepted']);
  });

  it('is not told where the enable password was wrong', async () => {
    let told = 0;
    const { failure: failed } = await play({
      driver: asaDriver,
      shell: asa({ enable: 'another' }),
      request: { onLoggedIn: () => told++ },
    });
    expect(failed?.code).toBe('login.enable-rejected');
    expect(told).toBe(0);
  });
});
