import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { OperationError } from '../../core/errors.ts';

/** Names below the directory of an export. The sealed copies lie in `artefacts/` as they do in state_dir. */
export const names = {
  manifest: 'manifest.json',
  ledger: 'ledger.db',
  bundle: 'configs.bundle',
  tip: 'configs.tip',
  knownHosts: 'known_hosts',
  fingerprintKey: 'fingerprint.key',
  spool: 'spool',
  quarantine: 'spool/quarantine',
  artefacts: 'artefacts',
} as const;

const digest = z.string().regex(/^[0-9a-f]{64}$/);

/** Nothing that leads out of the directory, and nothing that an export does not write. */
const fileName = z
  .string()
  .regex(
    /^(?:ledger\.db|configs\.bundle|configs\.tip|known_hosts|spool\/(?:quarantine\/)?[A-Za-z0-9][A-Za-z0-9._~-]{0,200})$/,
  );

const shape = z.strictObject({
  /** Of this layout; another one is refused. */
  format: z.literal(1),
  /** Version of the program that wrote it. */
  roundsman: z.string(),
  exported_at: z.iso.datetime(),
  host: z.string(),
  chain: z.strictObject({ length: z.number().int().positive(), head: digest }),
  /** Commit that main was at; null before the first. */
  main: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .nullable(),
  /** Id of the fingerprint key; null where secrets go to git unmasked. */
  mask_key: z.string().nullable(),
  /** Sealed copies that the ledger names and that were gone or damaged. */
  lost: z.array(digest),
  /** SHA-256 of each file but this one, the sealed copies and the key, which have their own names for it. */
  files: z.record(fileName, digest),
});

export type Manifest = z.infer<typeof shape>;

/**
 * Reads the manifest of an export. Throws OperationError where there is none: an export writes it last, so
 * one that was cut short has none.
 */
export async function readManifest(dir: string): Promise<Manifest> {
  const file = join(dir, names.manifest);
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT')
      throw new OperationError(
        `${dir} holds no whole export: there is no ${names.manifest}`,
        'name the directory that `roundsman export` wrote; one that was cut short has to be made again',
        { cause },
      );
    throw new OperationError(
      `${file} cannot be read: ${cause.code ?? cause.message}`,
      'the export belongs to its owner alone: give it to the user that imports it, `chown -R USER DIR`',
      { cause },
    );
  });
  const format = z.looseObject({ format: z.number() }).safeParse(json(text));
  if (format.success && format.data.format !== 1)
    throw new OperationError(
      `${file} has format ${format.data.format}; this program reads format 1`,
      'import it with the version of roundsman that wrote it, or a newer one',
    );
  const parsed = shape.safeParse(json(text));
  if (!parsed.success) throw altered(names.manifest, 'it does not say what an export writes');
  return parsed.data;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What is said of an export that is not as it was written. `name` is the file's, below the export. */
export function altered(name: string, problem: string, cause?: unknown): OperationError {
  return new OperationError(
    `the export is not as it was written: ${name}: ${problem}`,
    'copy it again, or export again; nothing was imported',
    { cause },
  );
}

/** SHA-256 (hex) of a file's bytes. Throws what the file system says. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
