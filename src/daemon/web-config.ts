import { dirname, resolve } from 'node:path';
import type { Problem } from '../core/errors.ts';
import { parseHash } from '../http/bcrypt.ts';
import type { ServerTls } from '../http/tls.ts';
import { isMapping } from '../inventory/mapping.ts';
import { type Blame, judged, Reader, section } from '../inventory/schema.ts';
import { choice, flag, path } from '../inventory/values.ts';
import { readYaml } from '../inventory/yaml.ts';

/** What a file in Prometheus' web-config.yml format says. */
export interface WebConfig {
  /** Its own name. */
  readonly file: string;
  readonly tls: {
    /** PEM files. */
    readonly certFile: string;
    readonly keyFile: string;
    readonly clientCaFile: string | null;
    readonly clients: ServerTls['clients'];
    readonly minVersion: ServerTls['minVersion'];
  } | null;
  /** Names and bcrypt hashes. */
  readonly users: ReadonlyMap<string, string>;
  readonly headers: Readonly<Record<string, string>>;
}

const maxBytes = 256 * 1024;

/** A password takes twice the time with each step: 0.3 s of a core at 10, a second at 12. */
const costs = { least: 4, usual: 10, most: 12 } as const;

/** Whether clients have to show a certificate, in Go's words. */
const clientAuth = {
  NoClientCert: 'any',
  VerifyClientCertIfGiven: 'if-given',
  RequireAndVerifyClientCert: 'required',
} as const;

/** Those of Go that ask for a certificate and believe what it says. */
const unverified = ['RequestClientCert', 'RequireAnyClientCert', 'RequireClientCert'];

/** The file itself, and those that it names. */
export function filesOf({ file, tls }: WebConfig): readonly string[] {
  return tls === null
    ? [file]
    : [file, tls.certFile, tls.keyFile, ...(tls.clientCaFile === null ? [] : [tls.clientCaFile])];
}

/** Those that Prometheus knows. */
const headerNames = [
  'Content-Security-Policy',
  'Strict-Transport-Security',
  'X-Content-Type-Options',
  'X-Frame-Options',
  'X-XSS-Protection',
];

/**
 * Reads such a file; relative paths in it are relative to it. `config` is null where there are problems. Throws
 * InvalidConfiguration where it cannot be read or is no YAML.
 */
export function readWebConfig(file: string): {
  readonly config: WebConfig | null;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
} {
  const document = readYaml(file, maxBytes);
  const reader = new Reader(file, document);
  const read = reader.readEach(shape(dirname(resolve(file))), document.value ?? {});
  const users = read.basic_auth_users ?? new Map<string, string>();
  const warnings = [...users].flatMap(([name, hash]) =>
    (parseHash(hash)?.cost ?? 0) < costs.usual
      ? [reader.problem(['basic_auth_users', name], `its hash is cheap to guess against: ${howToHash}`)]
      : [],
  );
  const config = { file, tls: read.tls_server_config ?? null, users, headers: read.http_server_config ?? {} };
  return { config: reader.problems.length === 0 ? config : null, problems: reader.problems, warnings };
}

const howToHash = `make one with \`htpasswd -nBC ${costs.usual} NAME\``;

function shape(dir: string) {
  return {
    tls_server_config: tlsServerConfig(dir).nullable().default(null),
    http_server_config: section({
      http2: judged('false', (value, blame) =>
        value === false ? value : blame('only HTTP/1.1 is spoken here: set false, or leave it out'),
      ).optional(),
      headers: headers().default({}),
    })
      .transform((written) => written.headers)
      .nullable()
      .default(null),
    basic_auth_users: users().default(new Map()),
    rate_limit: refused('the rate is limited already, and by client'),
  };
}

function tlsServerConfig(dir: string) {
  const inline = refused('PEM texts in this file are not supported; name a file');
  const ours = refused('cannot be chosen here: what OpenSSL and Node hold for safe is offered');
  return section({
    cert_file: path(dir),
    key_file: path(dir),
    client_auth_type: clientAuthType().default('NoClientCert'),
    client_ca_file: path(dir).nullable().default(null),
    min_version: choice(['TLS12', 'TLS13']).default('TLS12'),
    max_version: ours,
    cipher_suites: ours,
    curve_preferences: ours,
    prefer_server_cipher_suites: flag().optional(),
    client_allowed_sans: refused('is not supported: whoever has a certificate of client_ca_file is let in'),
    cert: inline,
    key: inline,
    client_ca: inline,
  }).transform((written, context): NonNullable<WebConfig['tls']> => {
    const { client_auth_type: type, client_ca_file: clientCaFile } = written;
    if (type !== 'NoClientCert' && clientCaFile === null)
      context.addIssue({
        code: 'custom',
        message: `${type} needs client_ca_file: who signed them`,
        path: ['client_auth_type'],
      });
    if (type === 'NoClientCert' && clientCaFile !== null)
      context.addIssue({
        code: 'custom',
        message: 'nobody is asked for a certificate: set client_auth_type to RequireAndVerifyClientCert',
        path: ['client_ca_file'],
      });
    return {
      certFile: written.cert_file,
      keyFile: written.key_file,
      clientCaFile,
      clients: clientAuth[type],
      minVersion: written.min_version === 'TLS13' ? 'TLSv1.3' : 'TLSv1.2',
    };
  });
}

function clientAuthType() {
  const words = choice(Object.keys(clientAuth) as (keyof typeof clientAuth)[]);
  return judged('a word such as RequireAndVerifyClientCert', (value, blame): keyof typeof clientAuth => {
    if (typeof value === 'string' && unverified.includes(value))
      return blame(
        'asks for a certificate and verifies nothing; take RequireAndVerifyClientCert',
        'RequireAndVerifyClientCert',
      );
    const result = words.safeParse(value);
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const near: unknown = issue?.code === 'custom' ? issue.params?.nearest : null;
    return blame(issue?.message ?? '', typeof near === 'string' ? near : null);
  });
}

function headers() {
  return judged('headers (name: value)', (value, blame): Record<string, string> => {
    if (value === null) return {};
    if (!isMapping(value)) return blame('expected headers (name: value)');
    for (const [name, text] of Object.entries(value)) {
      if (!headerNames.includes(name)) return blame(`is none of ${headerNames.join(', ')}`, null, [name]);
      if (typeof text !== 'string' || !/^[\x20-\x7e]+$/.test(text))
        return blame('expected a text in ASCII', null, [name]);
    }
    return { ...value } as Record<string, string>;
  });
}

/** Values are never shown: a password may have been written where its hash belongs. */
function users() {
  return judged('users (name: bcrypt hash)', (value, blame): ReadonlyMap<string, string> => {
    if (value === null) return new Map();
    if (!isMapping(value)) return blame('expected users (name: bcrypt hash)');
    return new Map(Object.entries(value).map(([name, hash]) => [name, checked(name, hash, blame)]));
  });
}

function checked(name: string, hash: unknown, blame: Blame): string {
  if (name === '' || /[:\u0000-\u001f\u007f]/.test(name))
    return blame('a user name has no colon and no control characters', null, [name]);
  const cost = typeof hash === 'string' ? (parseHash(hash)?.cost ?? null) : null;
  if (typeof hash !== 'string' || cost === null)
    return blame(`expected a bcrypt hash ($2y$10$…): ${howToHash}`, null, [name]);
  if (cost > costs.most)
    return blame(
      `its cost is ${cost}, and ${costs.most} is the most here, because every login would take seconds: ${howToHash}`,
      null,
      [name],
    );
  return hash;
}

/** A key of the format that has no counterpart here. */
function refused(message: string) {
  return judged('nothing', (_value, blame): never => blame(message)).optional();
}
