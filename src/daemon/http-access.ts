import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { describe } from '../core/catalogue.ts';
import { BackupError, failureOf, OperationError } from '../core/errors.ts';
import type { Access } from '../http/access.ts';
import { contextOptions, type ServerTls } from '../http/tls.ts';
import type { HttpSettings } from './http-settings.ts';
import type { Context } from './services/context.ts';

/** Who may do what, as the settings say. */
export function accessOf({ hosts, tokens, web }: HttpSettings): Access {
  return { hosts, tokens, users: web?.users ?? new Map(), headers: web?.headers ?? {} };
}

/**
 * The files of `tls_server_config`, read now; null where there is none. Throws OperationError where one cannot be
 * read or they do not belong together. A key that systemd hands over has the rights that systemd gives it; of
 * others it is demanded that nobody else can read them.
 */
export async function readTls(
  { web }: HttpSettings,
  { readSecret }: Pick<Context, 'readSecret'>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ServerTls | null> {
  if (web?.tls == null) return null;
  const { certFile, keyFile, clientCaFile, clients, minVersion } = web.tls;
  const isCredential = dirname(keyFile) === env.CREDENTIALS_DIRECTORY;
  const tls = {
    certificate: await readPublic(certFile),
    key: await readSecret(isCredential ? { credential: basename(keyFile) } : { file: keyFile }).catch(
      asOperation,
    ),
    clientCa: clientCaFile === null ? null : await readPublic(clientCaFile),
    clients,
    minVersion,
  };
  contextOptions(tls);
  return tls;
}

async function readPublic(file: string): Promise<string> {
  try {
    return await readFile(file, 'latin1');
  } catch (cause) {
    const problem = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new UnreadableFile(`${file} cannot be read: ${problem}`, { cause });
  }
}

function asOperation(error: unknown): never {
  if (!(error instanceof BackupError)) throw error;
  throw new UnreadableFile(describe(failureOf(error)).message, { cause: error });
}

/** The one that another user may be able to read. */
export class UnreadableFile extends OperationError {
  constructor(problem: string, options: ErrorOptions) {
    super(
      `of \`http.web_config_file\`: ${problem}`,
      'name PEM files that the service can read, and a key that nobody else can',
      options,
    );
  }
}
