import { createHash, randomBytes } from 'node:crypto';
import { UsageError } from '../../core/errors.ts';
import { nearest } from '../../core/nearest.ts';
import { type Common, exitCodes } from '../context.ts';
import type { Cli } from '../program.ts';

interface Options extends Common {
  readonly scope: readonly string[];
}

/** As in `http.tokens`. */
const scopes = ['read', 'operate', 'admin'];

export function token(cli: Cli): void {
  cli
    .command('token', 'Makes a token for the HTTP API, and the line for the settings that lets it in.', [
      'roundsman token grafana',
      'roundsman token deploy --scope read operate',
    ])
    .argument('<name>', 'whose token it is, for the log: a-z 0-9 . _ -')
    .option('--scope <scopes...>', `what it allows: ${scopes.join(', ')}`, ['read'])
    .action((name: string, options: Options) =>
      cli.run(options, async ({ json, document, print, remark }) => {
        const allowed = [...new Set(options.scope)];
        if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name))
          throw new UsageError(
            `"${name}" is not a valid name`,
            'write 1 to 63 of a-z 0-9 . _ - with a letter or digit in front',
          );
        const unknown = allowed.find((scope) => !scopes.includes(scope));
        if (unknown !== undefined) {
          const near = nearest(unknown, scopes);
          const meant = near === null ? '' : `did you mean "${near}"? `;
          throw new UsageError(`there is no scope "${unknown}"`, `${meant}use ${scopes.join(', ')}`);
        }
        const secret = `rm_${randomBytes(32).toString('base64url')}`;
        const sha256 = createHash('sha256').update(secret).digest('hex');
        if (json) document({ name, token: secret, sha256, scopes: allowed });
        else {
          print(secret);
          remark(
            'This is shown once. In the settings, under `http: tokens:`, and then reload:',
            `  - { name: ${name}, sha256: "${sha256}", scopes: [${allowed.join(', ')}] }`,
          );
        }
        return exitCodes.ok;
      }),
    );
}
