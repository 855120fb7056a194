import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** One package that is installed for the program to run. */
export interface LockedPackage {
  /** Below the repository's root, such as `node_modules/ssh2`. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** An SPDX identifier or expression. */
  readonly licence: string;
  /** `sha512-…`, of the published archive. */
  readonly integrity: string;
  /** The program runs without it. */
  readonly optional: boolean;
  /** Paths of the packages that it asks for. */
  readonly needs: readonly string[];
}

export interface Lockfile {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** Paths of what the program itself asks for. */
  readonly needs: readonly string[];
  /** Everything that is no development tool, by path. */
  readonly packages: ReadonlyMap<string, LockedPackage>;
}

/** An entry of package-lock.json, as far as it is used. */
interface Entry {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Packages whose package.json names its licence in the form of before 2015, which npm does not take over. */
const licencesInOldForm: Readonly<Record<string, string>> = {
  buildcheck: 'MIT',
  'cpu-features': 'MIT',
  ssh2: 'MIT',
};

/** Reads package-lock.json. Throws where a package has no licence or no digest. */
export function readLockfile(): Lockfile {
  const lock = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8')) as {
    readonly packages: Readonly<Record<string, Entry>>;
  };
  const own = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as Record<
    'name' | 'version' | 'license',
    string
  >;
  const entries = new Map(Object.entries(lock.packages).filter(([, { dev }]) => dev !== true));
  const packages = new Map<string, LockedPackage>();
  for (const [path, entry] of entries) {
    if (path === '') continue;
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const { version, integrity, license: licence = licencesInOldForm[name], optional = false } = entry;
    if (version === undefined || licence === undefined || integrity === undefined)
      throw new Error(`package-lock.json does not say the version, licence or integrity of ${path}`);
    packages.set(path, {
      path,
      name,
      version,
      licence,
      integrity,
      optional,
      needs: needsOf(path, entry, entries),
    });
  }
  return {
    ...{ name: own.name, version: own.version, licence: own.license },
    needs: needsOf('', entries.get('') ?? {}, entries),
    packages,
  };
}

/** As Node looks for them: beside the package, then further and further out. */
function needsOf(path: string, entry: Entry, entries: ReadonlyMap<string, Entry>): readonly string[] {
  const names = new Set([
    ...Object.keys(entry.dependencies ?? {}),
    ...Object.keys(entry.optionalDependencies ?? {}),
  ]);
  return [...names].toSorted().map((name) => {
    for (let from = path; ; from = from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/')))) {
      const found = from === '' ? `node_modules/${name}` : `${from}/node_modules/${name}`;
      if (entries.has(found)) return found;
      if (from === '') throw new Error(`package-lock.json does not say where ${path} finds ${name}`);
    }
  });
}

/** Everything that these packages ask for, themselves included; without what is optional. */
export function reachedFrom(paths: readonly string[], { packages }: Lockfile): ReadonlySet<string> {
  const reached = new Set<string>();
  const visit = (path: string): void => {
    if (reached.has(path) || packages.get(path)?.optional !== false) return;
    reached.add(path);
    for (const next of packages.get(path)?.needs ?? []) visit(next);
  };
  for (const path of paths) visit(path);
  return reached;
}
