import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/f5_bigip.ts';
import type { ArchiveOrder, ArchiveResult } from '../../src/transport/collect.ts';
import { read } from '../support/conformance-reading.ts';
import { type FixtureCase, loadCase } from '../support/devices/cases.ts';
import type { Persona } from '../support/devices/persona.ts';
import type { DeviceSpec, Faults } from '../support/devices/spec.ts';

const ucs = '/var/local/ucs/roundsman-backup.ucs';
const passphrase = 'Corr3ct.horse/battery';

interface Made {
  readonly result: ArchiveResult | undefined;
  readonly octets: string;
  readonly persona: Persona;
  readonly transcript: string;
  /** What the session read besides. */
  readonly artefacts: readonly string[];
}

/** Orders one archive from a unit that has files, and bash unless `device` says otherwise. */
async function make(
  name: 'ucs' | 'scf',
  how: { readonly device?: Partial<DeviceSpec>; readonly faults?: Faults; readonly passphrase?: string } = {},
): Promise<Made> {
  const known = loadCase('f5_bigip', 'ha-active-zebos');
  const fixture: FixtureCase = { ...known, device: { ...known.device, ...how.device } };
  const parts: Buffer[] = [];
  const order: ArchiveOrder = {
    name,
    passphrase: how.passphrase === undefined ? null : { literal: how.passphrase },
    sink: { write: async (chunk) => void parts.push(chunk) },
  };
  const session = await read(driver, fixture, {
    archives: [order],
    ...(how.faults === undefined ? {} : { faults: how.faults }),
  });
  const { collected, persona, transcript } = session;
  return {
    result: collected.archives.get(name),
    octets: Buffer.concat(parts).toString('latin1'),
    persona,
    transcript,
    artefacts: [...collected.artefacts.keys()],
  };
}

const typedIn = ({ persona }: Made): readonly string[] => persona.typed.map(({ text }) => text);
const left = ({ persona }: Made): readonly string[] =>
  Object.keys(persona.spec.files ?? {}).filter((path) => path.startsWith('/var/local/'));
const text = ['running-config', 'zebos-rd0', 'zebos-rd20'];

describe('an archive of a BIG-IP', () => {
  it('is made, proven by its digest, fetched and removed', async () => {
    const made = await make('ucs');
    const digest = createHash('sha256').update(made.octets, 'latin1').digest('hex');
    expect(made.result).toEqual({ digest, bytes: made.octets.length });
    expect(made.octets.startsWith('\x1f\x8b')).toBe(true);
    expect(typedIn(made).slice(-6)).toEqual([
      `rm -f ${ucs}`,
      'tmsh -q save sys ucs roundsman-backup.ucs',
      `sha256sum ${ucs}`,
      `sftp ${ucs}`,
      `rm -f ${ucs}`,
      `sha256sum ${ucs}`,
    ]);
    expect(left(made)).toEqual([]);
    expect(made.artefacts).toEqual(text);
  });

  it('is encrypted by the device where there is a passphrase, which no transcript shows', async () => {
    const made = await make('ucs', { passphrase });
    expect(made.result).toMatchObject({ bytes: made.octets.length });
    expect(typedIn(made)).toContain(`tmsh -q save sys ucs roundsman-backup.ucs passphrase '${passphrase}'`);
    expect(made.transcript).not.toContain(passphrase);
    expect(made.transcript).toContain('save sys ucs roundsman-backup.ucs passphrase');
  });

  it('of a single configuration file holds both files', async () => {
    for (const secret of [undefined, passphrase]) {
      const made = await make('scf', secret === undefined ? {} : { passphrase: secret });
      expect(made.result).toMatchObject({ bytes: made.octets.length });
      expect(made.octets).toContain('ltm pool /Common/pool-01 {');
      expect(made.octets).toContain('roundsman-backup.scf.tar\0\x1f\x8b');
      expect(left(made)).toEqual([]);
    }
  });

  it.each(['ucs', 'scf'] as const)(
    '%s fails with the words of the unit where its disk is full',
    async (name) => {
      const made = await make(name, { device: { bigip: { diskFull: true } } });
      expect(made.result).toMatchObject({
        code: 'collect.archive-failed',
        detail: { archive: name, step: 'make', reply: expect.stringContaining('Error during config save') },
      });
      expect(left(made)).toEqual([]);
      expect(made.artefacts).toEqual(text);
    },
  );

  it('fails where what arrived is not what was written, and is removed', async () => {
    const made = await make('ucs', { device: { bigip: { badDisk: true } } });
    expect(made.result).toMatchObject({ detail: { step: 'compare' } });
    expect(left(made)).toEqual([]);
  });

  it('fails where the transfer ends early, and is removed', async () => {
    const made = await make('ucs', { faults: { stopAfter: { command: ucs, lines: 5 } } });
    expect(made.result).toMatchObject({ code: 'collect.archive-failed', detail: { step: 'fetch' } });
    expect(left(made)).toEqual([]);
  });

  it('fails where nothing more arrives, and is removed', async () => {
    const made = await make('ucs', { faults: { silentAt: { command: ucs, byte: 1000 } } });
    expect(made.result).toMatchObject({ code: 'collect.archive-failed', detail: { step: 'fetch' } });
    expect(left(made)).toEqual([]);
  });

  it('is not asked of an account without bash, which is told so and backed up all the same', async () => {
    const made = await make('ucs', { device: { shell: 'tmsh' } });
    expect(made.result).toMatchObject({
      code: 'collect.archive-failed',
      detail: { step: 'make', reply: expect.stringContaining('takes bash') },
    });
    expect(typedIn(made).filter((line) => /ucs|sha256|sftp|^rm/.test(line))).toEqual([]);
    expect(made.artefacts).toEqual(['running-config']);
  });

  it('takes no passphrase that a shell would take apart', async () => {
    const made = await make('ucs', { passphrase: "x'; reboot; '" });
    expect(made.result).toMatchObject({ code: 'inventory.secret-unavailable' });
    expect(typedIn(made).join('\n')).not.toContain('reboot');
  });

  it('that an interrupted run left there is removed before', async () => {
    const made = await make('ucs', {
      device: { files: { [ucs]: 'half', '/var/local/ucs/theirs.ucs': 'kept' } },
    });
    expect(made.result).toMatchObject({ bytes: made.octets.length });
    expect(left(made)).toEqual(['/var/local/ucs/theirs.ucs']);
  });
});
