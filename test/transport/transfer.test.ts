import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { BackupError } from '../../src/core/errors.ts';
import type { FileRequest } from '../../src/transport/file-request.ts';
import { connect } from '../../src/transport/ssh.ts';
import type { Connection } from '../../src/transport/ssh-connection.ts';
import type { RemoteFile } from '../../src/transport/ssh-sftp.ts';
import { fetchFile } from '../../src/transport/transfer.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import type { DeviceSpec, Faults } from '../support/devices/spec.ts';
import { FakeClock } from '../support/fake-clock.ts';
import {
  type Act,
  byByte,
  type Feed,
  inPieces,
  ScriptedChannel,
  whole,
} from '../support/scripted-channel.ts';
import { requestFor, testDevice } from '../support/ssh-server.ts';
import { startSshd } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Fetched {
  readonly bytes: number | null;
  readonly octets: Buffer;
  readonly failure: { readonly code?: string; readonly detail?: Record<string, unknown> } | null;
  /** What we said. */
  readonly said: string;
  readonly closed: boolean;
  readonly pending: number;
}

/** What comes of a file, in virtual time, from a far side that says `acts[n]` at our n-th 0. */
async function byScp(
  acts: readonly (readonly Act[])[],
  more: { feed?: Feed; cutAfterBytes?: number; greeting?: readonly Act[] } & Partial<FileRequest> = {},
): Promise<Fetched> {
  const clock = new FakeClock();
  let acks = 0;
  const script = { greeting: more.greeting ?? [], typed: () => acts[acks++] ?? [] };
  const channel = new ScriptedChannel(clock, script, more.feed ?? whole, more.cutAfterBytes);
  const connection = { exec: async () => channel, sftp: () => Promise.reject(new Error('no')) };
  const octets: Buffer[] = [];
  const fetching = fetchFile('scp', {
    connection,
    path: 'sys_config',
    name: 'running-config',
    limitBytes: 1 << 20,
    clock,
    signal: new AbortController().signal,
    idleMs: 60_000,
    mask: (text) => text.replaceAll('hunter2', '«masked»'),
    take: async (piece) => {
      octets.push(piece);
    },
    ...more,
  });
  let failure: Fetched['failure'] = null;
  const bytes = await clock.until(fetching).catch((thrown: Fetched['failure']) => {
    failure = thrown;
    return null;
  });
  return {
    bytes,
    octets: Buffer.concat(octets),
    failure,
    said: channel.typed.join(''),
    closed: channel.closed,
    pending: clock.pending,
  };
}

const done: Act = { end: { exitStatus: 0 } };
const text = 'config system global\nend\n\0\x01\x02\xffC0644 3 x\n';
const head = `C0644 ${text.length} sys_config\n`;

describe('the protocol of scp', () => {
  it('gives the octets that were announced, each step answered by a 0', async () => {
    for (const feed of [whole, byByte]) {
      const fetched = await byScp([[head], [text, '\0'], [done]], { feed });
      expect(fetched).toMatchObject({
        bytes: text.length,
        failure: null,
        said: '\0\0\0',
        closed: true,
        pending: 0,
      });
      expect(fetched.octets.toString('latin1')).toBe(text);
    }
  });

  it('any octets arrive in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.integer(), async (bytes, seed) => {
        const content = Buffer.from(bytes).toString('latin1');
        const feed = inPieces(seed, 400);
        const fetched = await byScp([[`C0600 ${bytes.length} x\n`], [content, '\0'], [done]], { feed });
        expect(fetched.failure).toBeNull();
        expect(fetched.octets.toString('latin1')).toBe(content);
      }),
      { numRuns: 60 },
    );
  });

  it('times before the file are passed over', async () => {
    const fetched = await byScp([['T1700000000 0 1700000000 0\n'], [head], [text, '\0'], [done]]);
    expect(fetched).toMatchObject({ bytes: text.length, said: '\0\0\0\0' });
  });

  it('a side that does not close, and one that says no exit status, have said enough', async () => {
    for (const end of [[], [{ end: {} }]]) {
      expect((await byScp([[head], [text, '\0'], end])).bytes).toBe(text.length);
    }
  });

  it.each<[string, readonly Act[], string]>([
    [
      'there is no such file',
      ['\x01scp: sys_config: No such file or directory\n', { end: { exitStatus: 1 } }],
      'scp: sys_config: No such file or directory',
    ],
    ['a fatal error', ['\x02Permission denied\n'], 'Permission denied'],
    ['a folder', ['D0755 0 etc\n'], 'it is a folder'],
    ['a size that is none', ['C0644 -1 x\n'], 'C0644 -1 x'],
    ['a size beyond all numbers', ['C0644 99999999999999999999 x\n'], 'C0644 99999999999999999999 x'],
    ['a name that climbs', ['C0644 3 ../../etc/passwd\n'], 'C0644 3 ../../etc/passwd'],
    [
      'no program of that name',
      [{ stderr: 'bash: scp: command not found\n' }, { end: { exitStatus: 127 } }],
      'bash: scp: command not found',
    ],
    ['a command line that does not know it', ['\r\nUnknown action 0\r\n\r\nFGT # '], 'Unknown action 0'],
    ['a question', ["Terms of use\r\n(Press 'a' to accept):"], 'Terms of use'],
    ['a prompt that begins as a line of the protocol does', ['CORE-FW # '], 'CORE-FW #'],
    ['another such prompt', ['DMZ-FW # '], 'DMZ-FW #'],
    ['the end at once', [{ end: { exitStatus: 1 } }], 'no answer'],
    ['a secret in the words', ['\x01wrong password hunter2\x1b[31m\n'], 'wrong password «masked»\\x1b[31m'],
  ])('%s is a refusal in the words of the device', async (_, acts, reply) => {
    const fetched = await byScp([acts]);
    expect(fetched.failure).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'scp -f sys_config', reply },
    });
    expect(fetched.octets).toHaveLength(0);
    expect(fetched.closed).toBe(true);
  });

  it('a greeting that never ends is no answer', async () => {
    const fetched = await byScp([], { greeting: Array.from({ length: 300 }, () => 'x'.repeat(400)) });
    expect(fetched.failure?.code).toBe('collect.command-refused');
    expect(String(fetched.failure?.detail?.reply).length).toBeLessThanOrEqual(200);
  });

  it('a first line without end is a refusal too', async () => {
    const fetched = await byScp([[`C${'9'.repeat(100_000)}`]]);
    expect(fetched.failure?.code).toBe('collect.command-refused');
  });

  it('cut at any octet it is never whole', async () => {
    const all = `${head}${text}\0`;
    for (let cut = 0; cut < all.length; cut++) {
      const fetched = await byScp([[head], [text, '\0'], []], { cutAfterBytes: cut });
      expect(fetched.bytes).toBeNull();
      expect(fetched.failure).toMatchObject({ code: 'collect.connection-lost' });
    }
  });

  it('a channel that ends before all of it came is no whole file', async () => {
    for (const rest of [[], [text.slice(0, -1)], [text]]) {
      const fetched = await byScp([[head], [...rest, done]]);
      expect(fetched.failure).toMatchObject({ code: 'collect.connection-lost' });
    }
  });

  it('an error behind the octets, more octets than announced, another file, a status: none is whole', async () => {
    const ends: readonly (readonly Act[])[][] = [
      [[text, '\x01read error: I/O error\n']],
      [[text, 'x\0']],
      [[text, '\0'], ['C0644 3 other\n']],
      [[text, '\0'], [{ end: { exitStatus: 1 } }]],
    ];
    for (const end of ends) {
      const fetched = await byScp([[head], ...end]);
      expect(fetched.bytes).toBeNull();
      expect(fetched.failure).toMatchObject({
        code: 'verify.incomplete',
        detail: { artefact: 'running-config' },
      });
    }
    const [readError] = ends;
    expect((await byScp([[head], ...(readError ?? [])])).failure?.detail?.because).toBe(
      'read error: I/O error',
    );
  });

  it('what comes beyond the announced size is content: no word of it is said', async () => {
    const { failure } = await byScp([[head], [text, '    set psksecret n0tr3al\nend\n\0']]);
    expect(failure).toMatchObject({
      code: 'verify.incomplete',
      detail: { because: 'more came than was announced' },
    });
  });

  it('silence at any step is a stall', async () => {
    for (const acts of [[], [[head]], [[head], [text.slice(0, 3)]], [[head], [text]]]) {
      const fetched = await byScp(acts);
      expect(fetched.failure).toMatchObject({ code: 'collect.stalled', detail: { idleMs: 60_000 } });
      expect(fetched).toMatchObject({ closed: true, pending: 0 });
    }
  });

  it('a slow line is no silence', async () => {
    const slow: Feed = (octets) => [...octets].map((octet) => ({ text: octet, afterMs: 30_000 }));
    expect((await byScp([[head], [text, '\0'], [done]], { feed: slow })).bytes).toBe(text.length);
  });

  it('too large a file is refused before it comes', async () => {
    const fetched = await byScp([['C0644 1048577 x\n'], ['x']]);
    expect(fetched.failure).toMatchObject({ code: 'collect.too-large', detail: { limitBytes: 1 << 20 } });
    expect(fetched.said).toBe('\0');
  });

  it('an abort ends it at once', async () => {
    const stop = new AbortController();
    const fetching = byScp([[head]], { signal: stop.signal });
    setImmediate(() => stop.abort(new BackupError('run.interrupted', { by: 'signal' })));
    expect((await fetching).failure).toMatchObject({ code: 'run.interrupted' });
  });

  it('a taker that fails ends it', async () => {
    const fetched = await byScp([[head], [text, '\0']], {
      take: () => Promise.reject(new Error('no space')),
    });
    expect(fetched.failure).toMatchObject({ message: 'no space' });
    expect(fetched.closed).toBe(true);
  });

  it.each(['-r', 'a b', "a'b", 'a;b', '$(a)', 'a\nb', ''])('the path %j is never sent', async (path) => {
    const fetched = await byScp([[head]], { path });
    expect(fetched.failure).toMatchObject({ code: 'collect.command-refused' });
    expect(fetched.said).toBe('');
  });
});

/** What comes of a file over SFTP, in virtual time. */
async function bySftp(file: Partial<RemoteFile>, more: Partial<FileRequest> = {}) {
  const clock = new FakeClock();
  let closed = 0;
  const octets: Buffer[] = [];
  const remote: RemoteFile = {
    sizeBytes: 0,
    read: async () => Buffer.alloc(0),
    close: () => {
      closed++;
    },
    ...file,
  };
  const fetching = fetchFile('sftp', {
    connection: { exec: () => Promise.reject(new Error('no')), sftp: async () => remote },
    path: '/var/a.ucs',
    name: 'ucs',
    limitBytes: 1 << 24,
    clock,
    signal: new AbortController().signal,
    idleMs: 60_000,
    mask: (one) => one,
    take: async (piece) => {
      octets.push(piece);
    },
    ...more,
  });
  const result = await clock.until(fetching).catch((thrown: unknown) => thrown);
  return { result, octets: Buffer.concat(octets), closed, pending: clock.pending };
}

describe('SFTP', () => {
  const content = randomBytes(1_000_000);
  /** Gives at most `most` octets at a time. */
  const reading =
    (most = 32_768) =>
    async (offset: number, length: number) =>
      content.subarray(offset, offset + Math.min(length, most));

  it('gives the file, in pieces asked for ahead and put in order', async () => {
    let outstanding = 0;
    let most = 0;
    const read = async (offset: number, length: number) => {
      most = Math.max(most, ++outstanding);
      // Later ones may be answered earlier.
      for (let wait = offset % 7; wait >= 0; wait--) await Promise.resolve();
      outstanding--;
      return content.subarray(offset, offset + length);
    };
    const fetched = await bySftp({ sizeBytes: content.length, read });
    expect(fetched.result).toBe(content.length);
    expect(fetched.octets.equals(content)).toBe(true);
    expect(most).toBeGreaterThan(4);
    expect(most).toBeLessThanOrEqual(16);
    expect(fetched).toMatchObject({ closed: 1, pending: 0 });
  });

  it('short answers are asked for the rest', async () => {
    const fetched = await bySftp({ sizeBytes: content.length, read: reading(1_000) });
    expect(fetched.octets.equals(content)).toBe(true);
  });

  it('a file that ends too early, and one that grew, are not whole', async () => {
    const short = await bySftp({ sizeBytes: content.length + 1, read: reading() });
    expect(short.result).toMatchObject({
      code: 'verify.incomplete',
      detail: { artefact: 'ucs', because: `${content.length} of ${content.length + 1} octets came` },
    });
    const grown = await bySftp({ sizeBytes: content.length - 1, read: reading() });
    expect(grown.result).toMatchObject({
      code: 'verify.incomplete',
      detail: { because: 'the file grew meanwhile' },
    });
    expect([short.closed, grown.closed]).toEqual([1, 1]);
  });

  it('an error in the middle is a lost connection, and silence a stall', async () => {
    const broken = await bySftp({
      sizeBytes: 10,
      read: () => Promise.reject(new Error('No response from server')),
    });
    expect(broken.result).toMatchObject({ code: 'collect.connection-lost', detail: { receivedBytes: 0 } });
    const silent = await bySftp({ sizeBytes: 10, read: () => new Promise(() => {}) });
    expect(silent.result).toMatchObject({ code: 'collect.stalled' });
    expect(silent).toMatchObject({ closed: 1, pending: 0 });
  });
});

/* ── Real servers ─────────────────────────────────────────────────────────────────────────── */

const big = randomBytes(3_000_000).toString('latin1');
const spec: DeviceSpec = {
  platform: 'f5_bigip',
  hostname: 'lb1',
  password: 'pw',
  config: 'ltm node a { }\n',
  files: { '/var/big': big, '/var/small': 'a\xff\0b', '/var/empty': '' },
};

async function fake(
  change: Partial<DeviceSpec> = {},
): Promise<{ device: FakeDevice; connection: Connection }> {
  const device = await startFakeDevice({ ...spec, ...change });
  cleanups.push(() => device.stop());
  const target = testDevice(device.port, {
    hostKeys: [device.fingerprint],
    credentials: { password: { literal: 'pw' } },
  });
  const connection = await connect(requestFor(target));
  cleanups.push(() => connection.end());
  return { device, connection };
}

function realRequest(connection: Connection, path: string, take: FileRequest['take']): FileRequest {
  return {
    connection,
    path,
    name: 'a file',
    limitBytes: 1 << 26,
    clock: systemClock,
    signal: new AbortController().signal,
    idleMs: 3_000,
    mask: (one) => one,
    take,
  };
}

async function fetched(connection: Connection, by: 'scp' | 'sftp', path: string): Promise<string> {
  const parts: Buffer[] = [];
  await fetchFile(
    by,
    realRequest(connection, path, async (piece) => {
      parts.push(piece);
    }),
  );
  return Buffer.concat(parts).toString('latin1');
}

for (const by of ['scp', 'sftp'] as const) {
  describe(`${by} from a fake device`, () => {
    it('gives small, empty and large files, one after the other', async () => {
      const { connection } = await fake();
      expect(await fetched(connection, by, '/var/small')).toBe('a\xff\0b');
      expect(await fetched(connection, by, '/var/empty')).toBe('');
      expect((await fetched(connection, by, '/var/big')) === big).toBe(true);
    });

    it('says that there is no such file, and that the device has none to give', async () => {
      const { connection } = await fake();
      await expect(fetched(connection, by, '/var/nothing')).rejects.toMatchObject({
        code: 'collect.command-refused',
      });
      const { connection: other } = await fake({ files: undefined as never });
      await expect(fetched(other, by, '/var/big')).rejects.toMatchObject({ code: 'collect.command-refused' });
    });

    it('is never whole where the connection broke, or the file was cut', async () => {
      const cut: Faults = { cutAt: { command: '/var/big', byte: 1_000_000 } };
      const { connection } = await fake({ faults: cut });
      await expect(fetched(connection, by, '/var/big')).rejects.toMatchObject({
        code: 'collect.connection-lost',
      });
      const short: Faults = { stopAfter: { command: '/var/big', lines: 100 } };
      const { connection: other } = await fake({ faults: short });
      const code = by === 'scp' ? 'collect.connection-lost' : 'verify.incomplete';
      await expect(fetched(other, by, '/var/big')).rejects.toMatchObject({ code });
    });

    it('a slow disk holds back the device, and nothing is lost', async () => {
      const { connection } = await fake();
      const hash = createHash('sha256');
      const bytes = await fetchFile(
        by,
        realRequest(connection, '/var/big', async (piece) => {
          hash.update(piece);
          await new Promise((resume) => setImmediate(resume));
        }),
      );
      expect(bytes).toBe(big.length);
      expect(hash.digest('hex')).toBe(createHash('sha256').update(big, 'latin1').digest('hex'));
    });
  });
}

describeWith('sshd', 'files from a real OpenSSH server', () => {
  async function real(): Promise<{ connection: Connection; dir: string }> {
    const server = await startSshd({ extraConfig: 'Subsystem sftp internal-sftp' });
    cleanups.push(() => server.stop());
    const dir = await mkdtemp(join(tmpdir(), 'roundsman-files-'));
    cleanups.push(() => rm(dir, { recursive: true, force: true }));
    const target = testDevice(server.port, {
      hostKeys: server.hostFingerprints,
      credentials: {
        username: server.username,
        password: null,
        privateKey: { literal: await readFile(server.userKeyPath, 'utf8') },
      },
    });
    const connection = await connect(requestFor(target));
    cleanups.push(() => connection.end());
    return { connection, dir };
  }

  describeWith('scp', 'with its own scp and SFTP', () => {
    it.each(['scp', 'sftp'] as const)('give files byte for byte, by %s', async (by) => {
      const { connection, dir } = await real();
      await writeFile(join(dir, 'big'), big, 'latin1');
      await writeFile(join(dir, 'empty'), '');
      expect((await fetched(connection, by, join(dir, 'big'))) === big).toBe(true);
      expect(await fetched(connection, by, join(dir, 'empty'))).toBe('');
    });

    it.each(['scp', 'sftp'] as const)('refuse what is not there and what is a folder, by %s', async (by) => {
      const { connection, dir } = await real();
      await expect(fetched(connection, by, join(dir, 'nothing'))).rejects.toMatchObject({
        code: 'collect.command-refused',
        detail: { reply: expect.stringMatching(/No such file/i) as string },
      });
      const folder = await fetched(connection, by, dir).catch((thrown: unknown) => thrown);
      expect(folder).toBeInstanceOf(BackupError);
    });
  });
});
