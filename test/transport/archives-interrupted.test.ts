import type ssh2 from 'ssh2';
import { afterEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import type { Device } from '../../src/core/device.ts';
import type { Driver } from '../../src/drivers/driver.ts';
import { collect } from '../../src/transport/collect.ts';
import { createTranscript } from '../../src/transport/transcript.ts';
import { memoryHostKeys, type SshServer, startServer, testDevice } from '../support/ssh-server.ts';
import { bigipDriver, ucs } from './tiny.ts';

/* A run that is stopped while an archive is made, over a real connection: what lies on the device is removed. */

const driver: Driver = { ...bigipDriver, commands: [...bigipDriver.commands, ucs] };

const answers: Readonly<Record<string, string>> = {
  "tmsh -q -c 'show sys version'": 'Sys::Version\nProduct BIG-IP\n',
  "tmsh -q -c 'cd /; list recursive'": 'ltm node a {\n}\n',
  'rm -f /var/a.ucs': '',
};

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A device that never finishes an archive. `onMake` is told when it was asked for one; `deaf`: it hears nothing after. */
async function startUnit(onMake: () => void, deaf: boolean): Promise<SshServer & { executed: string[] }> {
  const executed: string[] = [];
  const server = await startServer({
    session: (session: ssh2.Session) => {
      session.on('exec', (accept, _reject, { command }) => {
        if (deaf && executed.includes(ucs.makeOpen)) return;
        executed.push(command);
        const stream = accept();
        stream.on('error', () => {});
        if (command === ucs.makeOpen) return onMake();
        const answer = answers[command];
        if (answer !== undefined) stream.write(answer);
        stream.exit(answer === undefined ? 1 : 0);
        stream.end();
      });
    },
  });
  cleanups.push(() => server.stop());
  return Object.assign(server, { executed });
}

/** Waits twenty times as fast. */
const fast: Clock = { ...systemClock, after: (ms, then) => systemClock.after(ms / 20, then) };

function read(port: number, signal: AbortSignal, change: Partial<Device> = {}, clock = systemClock) {
  const sink = { write: async () => {} };
  return collect({
    device: testDevice(port, { platform: driver.id, ...change }),
    driver,
    readSecret: async (ref) => ('literal' in ref ? ref.literal : ''),
    hostKeys: memoryHostKeys(),
    clock,
    signal,
    readTwice: false,
    maxBytes: 1024 * 1024,
    onProgress: () => {},
    transcript: createTranscript({ limitBytes: 1024 * 1024 }),
    archives: [{ name: 'ucs', passphrase: null, sink }],
  });
}

describe('an archive that is being made', () => {
  it('is removed from the device where a signal ends the run', async () => {
    const stop = new AbortController();
    const unit = await startUnit(() => stop.abort(), false);
    await expect(read(unit.port, stop.signal)).rejects.toMatchObject({ code: 'run.interrupted' });
    expect(unit.executed.slice(-3)).toEqual([ucs.makeOpen, 'rm -f /var/a.ucs', 'sha256sum /var/a.ucs']);
  });

  it('is removed where the time of the run is over, and the text is kept', async () => {
    const unit = await startUnit(() => {}, false);
    const collected = await read(unit.port, new AbortController().signal, { maxRuntimeMs: 1_500 });
    expect(collected.captures.get('running-config')?.text).toBe('ltm node a {\n}\n');
    expect(collected.archives.get('ucs')).toMatchObject({ code: 'collect.archive-failed' });
    expect(unit.executed.slice(-3)).toEqual([ucs.makeOpen, 'rm -f /var/a.ucs', 'sha256sum /var/a.ucs']);
  });

  it('does not hold up the end for long where the device hears nothing any more', async () => {
    const stop = new AbortController();
    const unit = await startUnit(() => stop.abort(), true);
    const reading = read(unit.port, stop.signal, {}, fast);
    await expect(reading).rejects.toMatchObject({ code: 'run.interrupted' });
    expect(unit.executed.at(-1)).toBe(ucs.makeOpen);
  });
});
