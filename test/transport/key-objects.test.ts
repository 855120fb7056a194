import crypto, { KeyObject } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { type Keyed, withKeyObjects } from '../../src/transport/key-objects.ts';
import { connect } from '../../src/transport/ssh.ts';
import { ssh2 } from '../../src/transport/ssh-library.ts';
import { requestFor, startServer, testDevice } from '../support/ssh-server.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Functions that tell which keys they were called with, and a library that took one of them when it was loaded. */
function library() {
  const asked: unknown[] = [];
  const take = (_name: string, key: unknown) => {
    asked.push(key);
    return 'made';
  };
  const functions: Keyed = { createCipheriv: take, createDecipheriv: take, createHmac: take };
  const loaded = withKeyObjects(functions, () => ({ ...functions }));
  return { asked, take, functions, loaded };
}

describe('a library that is loaded with key objects', () => {
  it('gets the same key object for the same octets at every call, and one of its own for others', () => {
    const { asked, loaded } = library();
    const [one, other] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    expect(loaded.createCipheriv('aes-256-gcm', one)).toBe('made');
    loaded.createDecipheriv('aes-256-gcm', one);
    loaded.createHmac('sha256', other);
    const [first, second, third] = asked as KeyObject[];
    expect(first).toBeInstanceOf(KeyObject);
    expect(first?.export()).toEqual(one);
    expect(second).toBe(first);
    expect(third?.export()).toEqual(other);
  });

  it('has what is no octets handed on as it is', () => {
    const { asked, loaded } = library();
    loaded.createHmac('sha256', 'a text');
    expect(asked).toEqual(['a text']);
  });

  it('leaves the functions as they were, also where it cannot be loaded', () => {
    const { functions, take } = library();
    const failing = () => {
      throw new Error('no such library');
    };
    expect(() => withKeyObjects(functions, failing)).toThrow('no such library');
    expect(Object.values(functions)).toEqual([take, take, take]);
  });

  it('is what ssh2 is: nobody else finds another node:crypto', () => {
    expect(ssh2.Client).toBeTypeOf('function');
    const key = Buffer.alloc(32, 3);
    const own = crypto.createHmac('sha256', key).update('x').digest('hex');
    key.fill(4);
    // One that remembered would still sign with the octets that were there at first.
    expect(crypto.createHmac('sha256', key).update('x').digest('hex')).not.toBe(own);
  });

  it.each([
    ['aes256-gcm@openssh.com', 'hmac-sha2-256'],
    ['aes256-ctr', 'hmac-sha2-256-etm@openssh.com'],
    ['aes256-ctr', 'hmac-sha2-512'],
  ] as const)('speaks %s with %s', async (cipher, mac) => {
    const told = 'a configuration\n'.repeat(10_000);
    const server = await startServer({
      algorithms: { cipher: [cipher], hmac: [mac] },
      session: (session) =>
        session.on('exec', (accept) => {
          const channel = accept();
          channel.write(told);
          channel.exit(0);
          channel.end();
        }),
    });
    cleanups.push(server.stop);
    const connection = await connect(requestFor(testDevice(server.port)));
    cleanups.push(() => connection.end());
    const channel = await connection.exec('show everything');
    let heard = '';
    channel.onData((piece) => {
      heard += piece;
    });
    await new Promise<void>((done) => channel.onEnd(() => done()));
    expect(heard === told).toBe(true);
  });
});
