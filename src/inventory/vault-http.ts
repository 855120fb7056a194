import { readFile } from 'node:fs/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { type Clock, systemClock } from '../core/clock.ts';
import type { VaultTrouble } from '../core/errors.ts';
import type { VaultSettings } from './vault-settings.ts';

/** Vault did not give what it was asked for. `problem` names no secret, and nothing that Vault said. */
export class VaultRefusal extends Error {
  readonly trouble: VaultTrouble;
  readonly problem: string;

  constructor(trouble: VaultTrouble, problem: string) {
    super(problem);
    this.trouble = trouble;
    this.problem = problem;
  }
}

export interface VaultRequest {
  readonly method: 'GET' | 'POST';
  /** Below `/v1/`, not yet encoded. */
  readonly path: string;
  /** Null: none, for a login. */
  readonly token: string | null;
  /** Sent as JSON; null: no body. */
  readonly body: Readonly<Record<string, string>> | null;
}

export interface VaultAnswer {
  readonly status: number;
  /** What the body says; null where it says nothing in JSON. */
  readonly body: unknown;
}

const limitMs = 5_000;
/** The largest secret that Vault stores by default takes 512 KiB. */
const maxBytes = 1024 * 1024;

/**
 * One request to Vault's HTTP API. Certificates are always checked, whatever the environment says; a redirect is
 * not followed, because the token would go with it. Throws VaultRefusal `unreachable`, `untrusted` or `answer`.
 */
export async function askVault(
  { address, namespace, caFile }: VaultSettings,
  { method, path, token, body }: VaultRequest,
  clock: Clock = systemClock,
): Promise<VaultAnswer> {
  const url = new URL(`${address}/v1/${path.split('/').map(encodeURIComponent).join('/')}`);
  const ca = caFile === null ? null : await readAuthorities(caFile);
  const sent = body === null ? null : Buffer.from(JSON.stringify(body));
  const options = {
    method,
    // A connection of its own: an agent would take a proxy from the environment, and keep the process alive.
    agent: false as const,
    headers: {
      'x-vault-request': 'true',
      ...(token === null ? {} : { 'x-vault-token': token }),
      ...(namespace === null ? {} : { 'x-vault-namespace': namespace }),
      ...(sent === null ? {} : { 'content-type': 'application/json', 'content-length': sent.length }),
    },
  };
  const { promise, resolve, reject } = Promise.withResolvers<VaultAnswer>();
  const secure = { rejectUnauthorized: true, minVersion: 'TLSv1.2' as const, ...(ca === null ? {} : { ca }) };
  const request =
    url.protocol === 'https:' ? requestHttps(url, { ...options, ...secure }) : requestHttp(url, options);
  const timer = clock.after(limitMs, () => {
    reject(new VaultRefusal('unreachable', `${address} did not answer within ${limitMs / 1_000} s`));
    request.destroy();
  });
  request.on('error', (error) => reject(unreachable(error, address)));
  request.on('response', (response) => {
    const { statusCode: status = 0 } = response;
    if (status >= 300 && status < 400) {
      reject(
        new VaultRefusal('answer', `${address} answers with a redirect (${status}), which is not followed`),
      );
      request.destroy();
      return;
    }
    let bytes = 0;
    const pieces: Buffer[] = [];
    response.on('data', (piece: Buffer) => {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes <= maxBytes) return;
      reject(new VaultRefusal('answer', `${address} sends more than ${maxBytes} bytes`));
      request.destroy();
    });
    response.on('error', (error) => reject(unreachable(error, address)));
    response.on('end', () => resolve({ status, body: parsed(Buffer.concat(pieces)) }));
  });
  request.end(sent ?? undefined);
  return promise.finally(() => timer.cancel());
}

/** Read anew for each connection, so that a renewed CA needs no restart. */
async function readAuthorities(file: string): Promise<string> {
  const pem = await readFile(file, 'latin1').catch((error: NodeJS.ErrnoException) => {
    throw new VaultRefusal('untrusted', `vault.ca_file ${file} cannot be read: ${error.code ?? error.name}`);
  });
  // An empty one would not be "nobody", but everybody whom Node trusts.
  if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem;
  throw new VaultRefusal('untrusted', `vault.ca_file ${file} holds no certificate in PEM format`);
}

/** Codes of OpenSSL and Node for a certificate that proves nothing. */
const untrusted = /CERT|SIGNATURE|ISSUER|ERR_TLS/;

function unreachable(error: NodeJS.ErrnoException, address: string): VaultRefusal {
  const code = error.code ?? error.name;
  return untrusted.test(code)
    ? new VaultRefusal('untrusted', `the certificate of ${address} is not trusted: ${code}`)
    : new VaultRefusal('unreachable', `${address} cannot be reached: ${code}`);
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
