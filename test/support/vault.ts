import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';

/** A token as Vault knows it; instants by the clock of `VaultStub`. */
interface KnownToken {
  readonly renewable: boolean;
  readonly endsMs: number;
  /** Paths that its policy lets it read; null: every one. */
  readonly reads: readonly string[] | null;
}

/** How the tokens of an AppRole are granted. */
interface Role {
  roleId: string;
  secretId: string;
  ttlSeconds: number;
  renewable: boolean;
  /** A token is renewed for so much; the end of its longest life is near where that is less than its time. */
  renewSeconds: number;
  reads: readonly string[] | null;
}

/**
 * A server that speaks the part of Vault's HTTP API that is used here, as the API documentation has it:
 * https://developer.hashicorp.com/vault/api-docs (KV version 2, AppRole, token, error responses).
 */
export class VaultStub {
  readonly address: string;
  /** By API path, such as `secret/data/network`; null: the newest version was deleted. */
  readonly secrets = new Map<string, Record<string, unknown> | null>();
  readonly tokens = new Map<string, KnownToken>();
  /** By where the auth method is mounted. */
  readonly roles = new Map<string, Role>();
  /** `GET secret/data/network`, in order of arrival. */
  readonly asked: string[] = [];
  readonly headers: IncomingMessage['headers'][] = [];
  sealed = false;
  nowMs = 0;
  /** Answers instead of Vault, where it is set. */
  instead: ((request: IncomingMessage, response: ServerResponse) => void) | null = null;
  readonly #close: () => Promise<void>;
  #made = 0;

  private constructor(address: string, close: () => Promise<void>) {
    this.address = address;
    this.#close = close;
  }

  /** Listens on a free port of 127.0.0.1; with `tls` as https. */
  static async listen(
    tls: { readonly key: string; readonly cert: string } | null = null,
  ): Promise<VaultStub> {
    let stub: VaultStub | null = null;
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      void stub?.answer(request, response);
    };
    const server = tls === null ? createHttp(answer) : createHttps({ ...tls }, answer);
    server.on('clientError', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    stub = new VaultStub(`${tls === null ? 'http' : 'https'}://127.0.0.1:${port}`, async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return stub;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  /** A token that lives for so long, and may read these paths. */
  grant(
    token: string,
    seconds: number | null = null,
    reads: readonly string[] | null = null,
    renewable = true,
  ): void {
    const endsMs = seconds === null ? Number.POSITIVE_INFINITY : this.nowMs + seconds * 1_000;
    this.tokens.set(token, { renewable, endsMs, reads });
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURI((request.url ?? '').replace(/^\/v1\//, ''));
    this.asked.push(`${request.method} ${path}`);
    this.headers.push(request.headers);
    let sent = '';
    for await (const piece of request) sent += piece;
    if (this.instead !== null) return this.instead(request, response);
    const say = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(`${JSON.stringify(body)}\n`);
    };
    const refuse = (status: number, ...errors: string[]): void => say(status, { errors });
    if (this.sealed) return refuse(503, 'Vault is sealed');
    const login = /^auth\/(.+)\/login$/.exec(path);
    if (login !== null && request.method === 'POST') {
      const role = this.roles.get(login[1] ?? '');
      const { role_id, secret_id } = JSON.parse(sent) as Record<string, string>;
      if (role === undefined) return refuse(403, 'permission denied');
      if (role.roleId !== role_id || role.secretId !== secret_id)
        return refuse(400, 'invalid role or secret ID');
      this.#made += 1;
      const token = `hvs.made-${this.#made}`;
      this.grant(token, role.ttlSeconds, role.reads, role.renewable);
      return say(200, { auth: this.auth(token, role.ttlSeconds, role.renewable) });
    }
    const token = String(request.headers['x-vault-token'] ?? '');
    const known = this.tokens.get(token);
    if (known === undefined || known.endsMs <= this.nowMs)
      return refuse(403, 'permission denied', 'invalid token');
    if (path === 'auth/token/lookup-self') {
      const ttl =
        known.endsMs === Number.POSITIVE_INFINITY ? 0 : Math.round((known.endsMs - this.nowMs) / 1_000);
      return say(200, { data: { id: token, ttl, renewable: known.renewable, policies: ['default'] } });
    }
    if (path === 'auth/token/renew-self') {
      if (!known.renewable) return refuse(400, 'lease is not renewable');
      const seconds = [...this.roles.values()][0]?.renewSeconds ?? 3_600;
      this.tokens.set(token, { ...known, endsMs: this.nowMs + seconds * 1_000 });
      return say(200, { auth: this.auth(token, seconds, true) });
    }
    if (known.reads !== null && !known.reads.includes(path))
      return refuse(403, '1 error occurred:\n\t* permission denied\n\n');
    const data = this.secrets.get(path);
    const metadata = {
      created_time: '2026-01-01T00:00:00Z',
      deletion_time: '',
      destroyed: false,
      version: 3,
    };
    if (data === undefined) return say(404, { errors: [] });
    if (data === null)
      return say(404, {
        data: { data: null, metadata: { ...metadata, deletion_time: '2026-01-02T00:00:00Z' } },
      });
    say(200, {
      request_id: 'x',
      lease_id: '',
      renewable: false,
      lease_duration: 0,
      data: { data, metadata },
    });
  }

  private auth(token: string, seconds: number, renewable: boolean): Record<string, unknown> {
    return { client_token: token, accessor: 'a', policies: ['default'], lease_duration: seconds, renewable };
  }
}
