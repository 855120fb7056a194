import { createHash } from 'node:crypto';
import { type LockedPackage, readLockfile } from './lockfile.ts';

/** A bill of materials in the JSON form of CycloneDX 1.6, as far as it is used (https://cyclonedx.org/docs/1.6/json/). */
export interface Bom {
  readonly $schema: string;
  readonly bomFormat: 'CycloneDX';
  readonly specVersion: '1.6';
  /** `urn:uuid:…`; made from the content, so that the same release has the same one. */
  readonly serialNumber: string;
  readonly version: 1;
  readonly metadata: {
    readonly timestamp: string;
    readonly lifecycles: readonly [{ readonly phase: 'build' }];
    readonly component: Component;
  };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

interface Component {
  readonly type: 'application' | 'library';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses: readonly (
    | { readonly license: { readonly id: string } }
    | { readonly expression: string }
  )[];
  readonly scope?: 'required' | 'optional';
  /** Of the published archive. */
  readonly hashes?: readonly { readonly alg: 'SHA-512'; readonly content: string }[];
}

/** What is installed for the program to run, from package-lock.json; `atMs` is the instant that it is made at. */
export function billOfMaterials(atMs: number): Bom {
  const lock = readLockfile();
  const packages = [...lock.packages.values()];
  const refOf = new Map(packages.map((one) => [one.path, purl(one.name, one.version)]));
  const own = purl(lock.name, lock.version);
  const graph = new Map<string, Set<string>>([[own, new Set()]]);
  // One version that lies in two places is one component.
  const components = new Map<string, Component>();
  for (const one of packages) {
    const ref = purl(one.name, one.version);
    if (one.optional && components.has(ref)) continue;
    components.set(ref, componentOf(one, ref));
  }
  for (const [path, needs] of [
    ['', lock.needs] as const,
    ...packages.map((one) => [one.path, one.needs] as const),
  ]) {
    const ref = refOf.get(path) ?? own;
    const to = graph.get(ref) ?? new Set();
    for (const need of needs) to.add(refOf.get(need) ?? '');
    graph.set(ref, to);
  }
  const content = {
    component: {
      type: 'application',
      'bom-ref': own,
      name: lock.name,
      version: lock.version,
      purl: own,
      licenses: licencesOf(lock.licence),
    } satisfies Component,
    components: [...components.values()],
    dependencies: [...graph].map(([ref, to]) => ({ ref, dependsOn: [...to].toSorted() })),
  };
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(content))}`,
    version: 1,
    metadata: {
      timestamp: new Date(atMs).toISOString(),
      lifecycles: [{ phase: 'build' }],
      component: content.component,
    },
    components: content.components,
    dependencies: content.dependencies,
  };
}

function componentOf({ name, version, licence, integrity, optional }: LockedPackage, ref: string): Component {
  const digest = /^sha512-([A-Za-z0-9+/]{86}==)$/.exec(integrity)?.[1];
  if (digest === undefined) throw new Error(`package-lock.json has no SHA-512 digest of ${name}`);
  return {
    type: 'library',
    'bom-ref': ref,
    name,
    version,
    purl: ref,
    licenses: licencesOf(licence),
    scope: optional ? 'optional' : 'required',
    hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }],
  };
}

function licencesOf(licence: string): Component['licenses'] {
  return /^[A-Za-z0-9.+-]+$/.test(licence) ? [{ license: { id: licence } }] : [{ expression: licence }];
}

/** https://github.com/package-url/purl-spec: the @ of a scope is encoded, its slash is not. */
function purl(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

/** A UUID of version 8 (RFC 9562): made by us, from a digest. */
function uuidOf(content: string): string {
  const bytes = createHash('sha256').update(content).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
