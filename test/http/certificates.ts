import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An authority (`ca`), what it signed (`server`, `server2`, `client`), and a `stranger`, who signed himself. */
export class Certificates implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'roundsman-web-'));

  constructor() {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    const make = (name: string, ...more: readonly string[]) =>
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          ...key,
          '-subj',
          `/CN=${name}`,
          '-keyout',
          `${name}.key`,
          '-out',
          `${name}.pem`,
          ...more,
        ],
        { cwd: this.dir, stdio: 'pipe' },
      );
    make('ca');
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key'];
    for (const name of ['server', 'server2', 'client'])
      make(name, ...signed, '-addext', 'subjectAltName=IP:127.0.0.1');
    make('stranger');
  }

  file(name: string): string {
    return join(this.dir, name);
  }

  text(name: string): string {
    return readFileSync(this.file(name), 'latin1');
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
