import { X509Certificate } from 'node:crypto';
import type { ServerOptions } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { OperationError } from '../core/errors.ts';

/** How a listener speaks TLS. */
export interface ServerTls {
  /** PEM: its certificate with the chain. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** PEM: who may sign a client's certificate; null where none is asked for. */
  readonly clientCa: string | null;
  /** `if-given`: a client may come without a certificate, and not with one that nobody signed. */
  readonly clients: 'any' | 'if-given' | 'required';
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

/** For a server. Throws OperationError where certificate, key and authority cannot be used together. */
export function tlsOptions(tls: ServerTls, handshakeMs: number): ServerOptions {
  return {
    ...contextOptions(tls),
    handshakeTimeout: handshakeMs,
    requestCert: tls.clients !== 'any',
    rejectUnauthorized: tls.clients === 'required',
  };
}

/** What can be exchanged while a server listens. Throws OperationError where it cannot be used. */
export function contextOptions({ certificate, key, clientCa, minVersion }: ServerTls): SecureContextOptions {
  const options = { cert: certificate, key, minVersion, ...(clientCa === null ? {} : { ca: clientCa }) };
  try {
    createSecureContext(options);
    // A text without a certificate would be taken for an authority that signed nobody's.
    if (clientCa !== null) new X509Certificate(clientCa);
  } catch (cause) {
    throw new OperationError(
      `the certificate of \`http.web_config_file\` cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
      'name a PEM certificate (with its chain) as cert_file, the key that belongs to it as key_file, and PEM certificates as client_ca_file',
      { cause },
    );
  }
  return options;
}
