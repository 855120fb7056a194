import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface GitHost extends AsyncDisposable {
  /** `https://localhost:PORT` */
  readonly origin: string;
  /** PEM file of the certificate, which signs itself. */
  readonly ca: string;
  /** `user:password` of each request that had one. */
  readonly logins: string[];
  readonly requests: () => number;
}

/**
 * Repositories below `root` over HTTPS, by git's own `http-backend`, for whoever has this login. `redirect`:
 * every request is sent on to that origin.
 */
export async function startGitHost(
  root: string,
  login: { readonly username: string; readonly password: string },
  redirect: string | null = null,
): Promise<GitHost> {
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-https-'));
  const [key, ca] = [join(dir, 'key.pem'), join(dir, 'ca.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const files = ['-keyout', key, '-out', ca];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...files, ...subject], {
    stdio: 'ignore',
  });
  const logins: string[] = [];
  let requests = 0;
  const expected = `${login.username}:${login.password}`;
  const server = createServer({ key: readFileSync(key), cert: readFileSync(ca) }, (request, response) => {
    requests += 1;
    const given = /^Basic (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const said = Buffer.from(given, 'base64').toString('utf8');
    if (said !== '') logins.push(said);
    const url = new URL(request.url ?? '/', 'https://localhost');
    if (redirect !== null) {
      response.writeHead(302, { location: `${redirect}${request.url}` }).end();
      return;
    }
    if (said !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    const backend = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env.PATH ?? '',
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: decodeURIComponent(url.pathname),
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method ?? 'GET',
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        REMOTE_USER: login.username,
        REMOTE_ADDR: '127.0.0.1',
      },
    });
    request.pipe(backend.stdin);
    backend.stdin.on('error', () => {});
    const answer: Buffer[] = [];
    backend.stdout.on('data', (chunk: Buffer) => answer.push(chunk));
    backend.on('close', () => {
      const whole = Buffer.concat(answer);
      const end = whole.indexOf('\r\n\r\n');
      for (const line of whole.toString('latin1', 0, end).split('\r\n')) {
        const [name = '', value = ''] = line.split(': ');
        if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
        else response.setHeader(name, value);
      }
      response.end(whole.subarray(end + 4));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `https://localhost:${(server.address() as AddressInfo).port}`,
    ca,
    logins,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
