import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { load } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWith } from '../support/system.ts';
import { copy, type Instruction, isSent, parseDockerfile, type Stage, sendContext } from './dockerfile.ts';
import { checkout, distributionIn, secretFiles } from './tree.ts';

const read = (path: string): string => readFileSync(join(checkout, path), 'utf8');
const { global, stages } = parseDockerfile(read('Dockerfile'));
const ignore = read('.dockerignore');
const [build, final] = stages as [Stage, Stage];
const only = (name: string): Instruction => {
  const found = final.instructions.filter((instruction) => instruction.name === name);
  expect(found, name).toHaveLength(1);
  return found[0] as Instruction;
};
const packageFile = JSON.parse(read('package.json')) as {
  version: string;
  devDependencies: { node: string };
};

/** Everything is fetched where CI says that everything has to run; elsewhere the libraries of the checkout stand in. */
const fetches = process.env.ROUNDSMAN_REQUIRE_ALL !== undefined;

describe('the image, built by hand', () => {
  let root: string;
  let image: string;
  let sent: string[];

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'roundsman-image-'));
    const context = join(root, 'context');
    sent = sendContext(distributionIn(join(root, 'checkout')), context, ignore);
    const rootOf = (stage: Stage): string => join(root, stage.name ?? 'final');
    for (const stage of stages) {
      let workdir = '/';
      for (const { name, args, options, text } of stage.instructions) {
        if (name === 'WORKDIR') {
          workdir = args[0] ?? '/';
          mkdirSync(join(rootOf(stage), workdir), { recursive: true });
        }
        if (name === 'RUN' && text.startsWith('npm ')) npm(text, join(rootOf(stage), workdir));
        // The binary of Node: this very one, of the same version, runs what was copied.
        if (name === 'COPY' && args[0] !== '/usr/local/bin/node')
          copy(args, options.from === undefined ? context : join(root, options.from), rootOf(stage), workdir);
      }
    }
    image = rootOf(final);
  }, 180_000);

  afterAll(() => {
    rmSync(root, { recursive: true, force: true });
  });

  function npm(command: string, dir: string): void {
    if (!fetches) {
      mkdirSync(join(dir, 'node_modules'));
      for (const name of readdirSync(join(checkout, 'node_modules')))
        symlinkSync(join(checkout, 'node_modules', name), join(dir, 'node_modules', name));
      return;
    }
    const [program = '', ...args] = command.split(' ');
    execFileSync(program, [...args, '--prefer-offline'], { cwd: dir, stdio: 'pipe' });
  }

  /** The entry point, in the image's place, as the container would start it. */
  function start(args: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    const [program = '', script = '', ...more] = only('ENTRYPOINT').args;
    expect(program).toBe('node');
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [join(image, script), ...more, ...args],
        { cwd: join(image, 'opt/roundsman'), env: { PATH: '/usr/bin:/bin' } },
        (error, stdout, stderr) =>
          resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
      );
    });
  }

  it('starts and says its version', async () => {
    expect(await start(['--version'])).toEqual({ status: 0, stdout: `${packageFile.version}\n`, stderr: '' });
  });

  it('has every file that a command needs', async () => {
    const help = await start(['--help']);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toContain('Usage: roundsman');
    // Loads the drivers, by listing their folder, and the ledger, by its migrations.
    const dir = join(root, 'config');
    expect(await start(['init', dir])).toMatchObject({ status: 0, stderr: '' });
    expect(await start(['check', '--config', join(dir, 'roundsman.yaml')])).toMatchObject({
      status: 0,
      stderr: '',
    });
  });

  it('begins what its CMD names', async () => {
    const { args } = only('CMD');
    expect(args).toEqual(['daemon', '--config', '/etc/roundsman/roundsman.yaml']);
    expect((await start([args[0] ?? '', '--help'])).stdout).toContain('Usage: roundsman daemon');
  });

  it('is sent the program, and no secret, no test and no history', () => {
    expect(sent).toContain('bin/roundsman.js');
    expect(sent).toContain('src/main.ts');
    for (const path of sent) expect(path).toMatch(/^(bin|src)\/|^(package(-lock)?\.json|LICENSE)$/);
    for (const file of secretFiles) expect(sent).not.toContain(file);
    for (const path of ['.git/config', 'node_modules/ssh2/package.json', '.env', 'test/a.test.ts'])
      expect(isSent(path, ignore), path).toBe(false);
  });

  it('has the libraries for use, and those for development only outside', () => {
    expect(existsSync(join(image, 'opt/roundsman/node_modules/ssh2/package.json'))).toBe(true);
    if (fetches) expect(existsSync(join(image, 'opt/roundsman/node_modules/vitest'))).toBe(false);
  });
});

describe('the Dockerfile', () => {
  it('has a stage that fetches and one that runs, on the same Debian', () => {
    expect(stages).toHaveLength(2);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: of the Dockerfile
    expect(build.from).toBe('node:${NODE_VERSION}-bookworm-slim');
    expect(final.from).toBe('debian:bookworm-slim');
  });

  it('takes the Node that the tests ran with', () => {
    expect(global.map(({ text }) => text)).toEqual([`NODE_VERSION=${packageFile.devDependencies.node}`]);
  });

  it('installs exactly the lock file, without install scripts', () => {
    const command = build.instructions.find(({ name }) => name === 'RUN')?.text ?? '';
    for (const word of ['npm ci', '--omit=dev', '--omit=optional', '--ignore-scripts'])
      expect(command).toContain(word);
  });

  it('names no user that is root, by number, and keeps it to the end', () => {
    expect(only('USER').text).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const after = final.instructions.slice(final.instructions.indexOf(only('USER')));
    expect(after.filter(({ name }) => name === 'RUN' || name === 'COPY')).toEqual([]);
  });

  it('starts Node itself, without a shell that would keep SIGTERM to itself', () => {
    for (const name of ['ENTRYPOINT', 'CMD', 'HEALTHCHECK']) expect(only(name).exec, name).toBe(true);
    expect(only('STOPSIGNAL').text).toBe('SIGTERM');
  });

  it('carries version, revision and date as labels, from arguments of the build', () => {
    const label = only('LABEL').text;
    for (const name of ['version', 'revision', 'created'])
      expect(label).toContain(`org.opencontainers.image.${name}="\${${name.toUpperCase()}}"`);
    const args = final.instructions
      .filter(({ name }) => name === 'ARG')
      .map(({ text }) => text.split('=')[0]);
    expect(args).toEqual(['VERSION', 'REVISION', 'CREATED']);
  });

  it('its health check succeeds on 200 alone, and fails on 503 and on nobody', async () => {
    const [program, flag, script = ''] = only('HEALTHCHECK').args;
    expect([program, flag]).toEqual(['node', '-e']);
    let status = 200;
    const paths: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url);
      response.writeHead(status).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const probe = (): Promise<number> =>
      new Promise((resolve) => {
        execFile(process.execPath, ['-e', script.replace(':9724', `:${port}`)], (error) =>
          resolve(error === null ? 0 : Number(error.code)),
        );
      });
    expect(await probe()).toBe(0);
    status = 503;
    expect(await probe()).toBe(1);
    await new Promise((resolve) => server.close(resolve));
    expect(await probe()).toBe(1);
    expect(paths).toEqual(['/-/healthy', '/-/healthy']);
  });
});

describeWith('readelf', 'the binary of Node', (readelf) => {
  it('needs nothing that a bare Debian does not have', () => {
    const needed = execFileSync(readelf, ['-d', join(checkout, 'node_modules/node/bin/node')], {
      encoding: 'utf8',
    });
    const libraries = [...needed.matchAll(/NEEDED.*\[(.*?)\]/g)].map((match) => match[1] ?? '');
    expect(libraries).toContain('libc.so.6');
    // libc6, libstdc++6 and libgcc-s1 are in debian:bookworm-slim (apt needs them).
    for (const library of libraries)
      expect(library).toMatch(/^(ld-linux.*|lib(c|m|dl|pthread|stdc\+\+|gcc_s))\.so\.\d+$/);
  });
});

interface Service {
  readonly image?: string;
  readonly network_mode?: string;
  readonly ports?: readonly string[];
  readonly volumes: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly command?: readonly string[];
  readonly [key: string]: unknown;
}

describe('compose.yaml', () => {
  const compose = load(read('compose.yaml')) as {
    services: Record<'roundsman' | 'prometheus' | 'grafana', Service>;
    volumes: Record<string, unknown>;
  };
  const { roundsman, prometheus, grafana } = compose.services;
  const services = Object.entries(compose.services);
  /** Host path by the path inside. */
  const mounts = (service: Service): Record<string, string> =>
    Object.fromEntries(service.volumes.map((volume) => volume.split(':').slice(0, 2).reverse()));

  it('runs the collector on a read-only root, without capabilities, with an init that reaps', () => {
    expect(roundsman).toMatchObject({ read_only: true, init: true, cap_drop: ['ALL'] });
    expect(roundsman.security_opt).toEqual(['no-new-privileges:true']);
    expect(roundsman.tmpfs?.map((place) => place.split(':')[0])).toEqual(['/tmp', '/run']);
  });

  it('publishes nothing beyond this machine', () => {
    for (const [name, service] of services)
      for (const port of service.ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/);
  });

  it.each(services)('%s names a version, and mounts what is there', (_name, service) => {
    if (service.build === undefined) expect(service.image).toMatch(/:v?\d+\.\d+\.\d+$/);
    for (const volume of service.volumes) {
      const [host = ''] = volume.split(':');
      if (host.startsWith('./')) {
        expect(existsSync(join(checkout, host)), host).toBe(true);
        expect(volume).toMatch(/:ro$/);
      } else if (!host.startsWith('/')) expect(compose.volumes).toHaveProperty(host);
    }
  });

  it('lets Prometheus reach what listens on loopback, with the rules beside its settings', () => {
    expect(prometheus.network_mode).toBe('service:roundsman');
    const inside = '/etc/prometheus/prometheus.yml';
    expect(prometheus.command).toContain(`--config.file=${inside}`);
    const settings = load(read(mounts(prometheus)[inside] ?? '')) as {
      rule_files: string[];
      scrape_configs: { static_configs: { targets: string[] }[] }[];
    };
    for (const file of settings.rule_files)
      expect(mounts(prometheus)).toHaveProperty([join(dirname(inside), file)]);
    expect(
      settings.scrape_configs.flatMap((job) => job.static_configs.flatMap(({ targets }) => targets)),
    ).toContain('127.0.0.1:9724');
  });

  it('gives Grafana its data source and its dashboards where the provisioning looks for them', () => {
    expect(grafana.network_mode).toBe('service:roundsman');
    const provisioning = mounts(grafana)['/etc/grafana/provisioning'] ?? '';
    const yamlOf = (folder: string): unknown[] =>
      readdirSync(join(checkout, provisioning, folder)).map((file) =>
        load(read(join(provisioning, folder, file))),
      );
    const sources = yamlOf('datasources').flatMap(
      (file) => (file as { datasources: { type: string; url: string }[] }).datasources,
    );
    expect(sources).toHaveLength(1);
    expect(sources[0]).toMatchObject({ type: 'prometheus' });
    expect(sources[0]?.url).toMatch(/^http:\/\/(127\.0\.0\.1|localhost):9090$/);
    const places = yamlOf('dashboards').flatMap((file) =>
      (file as { providers: { options: { path: string } }[] }).providers.map(({ options }) => options.path),
    );
    expect(places).toHaveLength(1);
    for (const place of places) {
      const host = mounts(grafana)[place] ?? '';
      expect(host, place).not.toBe('');
      expect(readdirSync(join(checkout, host)).some((file) => file.endsWith('.json'))).toBe(true);
    }
  });
});

describeWith('docker-compose', 'compose.yaml, by compose itself', (program) => {
  it('is valid, and refuses to start without a password for Grafana', () => {
    const config = (env: Record<string, string>): string =>
      execFileSync(program, ['-f', join(checkout, 'compose.yaml'), 'config', '--quiet'], {
        env: { PATH: process.env.PATH ?? '', ...env },
        encoding: 'utf8',
        stdio: 'pipe',
      });
    expect(config({ GRAFANA_PASSWORD: 'x' })).toBe('');
    expect(() => config({})).toThrow('GRAFANA_PASSWORD');
  });
});
