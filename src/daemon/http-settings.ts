import type { z } from 'zod';
import { InvalidConfiguration, type Problem } from '../core/errors.ts';
import { isLoopback, type Token } from '../http/access.ts';
import { judged, listOf, type Reader, section } from '../inventory/schema.ts';
import { choice, host, name, path } from '../inventory/values.ts';
import type { Address } from '../syslog/listener.ts';
import { readWebConfig, type WebConfig } from './web-config.ts';

/** What `http:` says, with what the web configuration file says that it names. */
export interface HttpSettings {
  readonly listen: Address;
  /** Names, besides the address itself, that requests may be made to. */
  readonly hosts: readonly string[];
  readonly tokens: readonly Token[];
  /** Null: no such file is named. */
  readonly web: WebConfig | null;
}

const scopes = ['read', 'operate', 'admin'] as const;

/** `listen` is HOST:PORT, judged by its owner. Relative paths are relative to `dir`. */
export function httpKeys(dir: string, listen: z.ZodType<Address>) {
  return {
    listen: listen.default({ host: '127.0.0.1', port: 9724 }),
    hosts: listOf(host().transform((written) => written.toLowerCase())).default([]),
    web_config_file: path(dir).nullable().default(null),
    tokens: listOf(section({ name: name(), sha256: digest(), scopes: listOf(choice(scopes)) })).default([]),
  };
}

type Written = {
  readonly [Key in keyof ReturnType<typeof httpKeys>]: z.output<ReturnType<typeof httpKeys>[Key]>;
};

/**
 * Reads the web configuration file, and refuses what only fits in parts: mistakes are noted with `reader`, those of
 * the other file with its name. `warnings` work and deserve a look.
 */
export function toHttpSettings(
  reader: Reader,
  { listen, hosts, web_config_file: file, tokens }: Written,
): { readonly http: HttpSettings; readonly warnings: readonly Problem[] } {
  const { web, warnings } = file === null ? { web: null, warnings: [] } : webConfig(reader, file);
  for (const [index, token] of tokens.entries()) {
    const place = ['http', 'tokens', index];
    if (token.scopes.length === 0)
      reader.blame([...place, 'scopes'], 'is empty: the token would allow nothing');
    const others = tokens.slice(0, index);
    if (others.some((other) => other.name === token.name))
      reader.blame([...place, 'name'], 'is the name of another token, too');
    if (others.some((other) => other.sha256 === token.sha256))
      reader.blame([...place, 'sha256'], 'is that of another token, too');
  }
  const problem = isLoopback(listen.host) || web === undefined ? null : unsafe(web, tokens);
  if (problem !== null) reader.blame(['http', 'listen'], problem);
  return { http: { listen, hosts, tokens, web: web ?? null }, warnings };
}

/** `web` undefined: it has mistakes, which are noted. */
function webConfig(
  reader: Reader,
  file: string,
): { readonly web: WebConfig | undefined; readonly warnings: readonly Problem[] } {
  try {
    const { config, problems, warnings } = readWebConfig(file);
    reader.problems.push(...problems);
    return { web: config ?? undefined, warnings };
  } catch (error) {
    if (!(error instanceof InvalidConfiguration)) throw error;
    reader.problems.push(...error.problems);
    return { web: undefined, warnings: [] };
  }
}

/** Why an address that others reach cannot be listened on; null where it can. */
function unsafe(web: WebConfig | null, tokens: readonly Token[]): string | null {
  if (web?.tls == null)
    return 'is not a loopback address, and others are listened on with TLS only: set http.web_config_file to a file with tls_server_config';
  const known = web.users.size > 0 || web.tls.clients !== 'any' || tokens.length > 0;
  return known
    ? null
    : 'is not a loopback address, and anybody could read what is there: set basic_auth_users or client_auth_type in http.web_config_file, or http.tokens';
}

/** Not shown: it may be the token itself. */
function digest() {
  return judged('the SHA-256 of a token', (value, blame) =>
    typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value)
      ? value.toLowerCase()
      : blame('expected the SHA-256 of a token, 64 hex digits in quotes, as `roundsman token` prints it'),
  );
}
