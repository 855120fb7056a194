/**
 * Where an artefact lies in the repository: `<group>/<device>/<artefact>.cfg`. Names of contexts and
 * partitions come from devices, so everything but `A-Z a-z 0-9 . _ -` is written as `%XX` (of its
 * UTF-8 bytes), a leading dot too. Different names never share a path.
 */
export function artefactPath(group: string, device: string, artefact: string): string {
  const escaped = Array.from(Buffer.from(artefact, 'utf8'), (byte, index) => {
    const character = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9_-]/.test(character) || (character === '.' && index > 0);
    return plain ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
  return `${group}/${device}/${escaped}.cfg`;
}

/** What `artefactPath` made a path of; null for a path that it did not make. */
export function artefactAt(
  path: string,
): { readonly group: string; readonly device: string; readonly artefact: string } | null {
  const [group = '', device = '', file = ''] = path.split('/');
  const escaped = file.slice(0, -'.cfg'.length);
  const bytes = escaped.replace(/%([0-9A-F]{2})/g, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  const artefact = Buffer.from(bytes, 'latin1').toString('utf8');
  return artefactPath(group, device, artefact) === path ? { group, device, artefact } : null;
}

const segment = '[A-Za-z0-9_%-][A-Za-z0-9._%-]*';
const layout = new RegExp(`^${segment}/${segment}/${segment}\\.cfg$`);

/**
 * Whether a path has the layout above. Such a path needs no quoting in a fast-import stream, climbs
 * nowhere, and has names that every file system takes.
 */
export function isArtefactPath(path: string): boolean {
  return layout.test(path) && path.split('/').every((name) => name.length <= 255);
}
