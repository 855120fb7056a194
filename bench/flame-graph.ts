/** What V8 writes with `--cpu-prof`; times in microseconds. */
export interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Frame {
  readonly name: string;
  readonly children: Map<string, Frame>;
  selfUs: number;
  totalUs: number;
}

const waiting = new Set(['(idle)']);

/** The calls of a profile as one tree, without the time in which nothing was to be done. */
function treeOf(profile: Profile): Frame {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(
    profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])),
  );
  const frames = new Map<number, Frame>();
  const root: Frame = { name: 'all', children: new Map(), selfUs: 0, totalUs: 0 };
  const frameOf = (id: number): Frame => {
    const known = frames.get(id);
    if (known !== undefined) return known;
    const parent = parents.get(id);
    const node = nodes.get(id);
    if (parent === undefined || node === undefined) return root;
    const around = frameOf(parent);
    const name = nameOf(node.callFrame);
    const frame = around.children.get(name) ?? { name, children: new Map(), selfUs: 0, totalUs: 0 };
    around.children.set(name, frame);
    frames.set(id, frame);
    return frame;
  };
  for (const [index, id] of profile.samples.entries()) {
    if (waiting.has(nodes.get(id)?.callFrame.functionName ?? '')) continue;
    frameOf(id).selfUs += Math.max(0, profile.timeDeltas[index] ?? 0);
  }
  total(root);
  return root;
}

function total(frame: Frame): number {
  frame.totalUs = frame.selfUs;
  for (const child of frame.children.values()) frame.totalUs += total(child);
  return frame.totalUs;
}

function nameOf({ functionName, url, lineNumber }: Profile['nodes'][number]['callFrame']): string {
  const file = url.replace(/^.*\/node_modules\//, '').replace(/^.*\/src\//, 'src/');
  const name = functionName === '' ? '(anonymous)' : functionName.slice(0, 80);
  return file === '' ? name : `${name} ${file}:${lineNumber + 1}`;
}

/** By function, the most first; `share` is of all the time in which something was done. */
export function selfTimes(profile: Profile): readonly { readonly name: string; readonly share: number }[] {
  const root = treeOf(profile);
  const sums = new Map<string, number>();
  const visit = (frame: Frame): void => {
    sums.set(frame.name, (sums.get(frame.name) ?? 0) + frame.selfUs);
    for (const child of frame.children.values()) visit(child);
  };
  visit(root);
  return [...sums]
    .map(([name, us]) => ({ name, share: us / root.totalUs }))
    .sort((one, other) => other.share - one.share);
}

/** One line a stack: `a;b;c microseconds`. */
export function foldedStacks(profile: Profile): string {
  const lines: string[] = [];
  const visit = (frame: Frame, stack: string): void => {
    const here = stack === '' ? frame.name : `${stack};${frame.name.replaceAll(';', ',')}`;
    if (frame.selfUs > 0) lines.push(`${here} ${Math.round(frame.selfUs)}`);
    for (const child of frame.children.values()) visit(child, here);
  };
  visit(treeOf(profile), '');
  return `${lines.join('\n')}\n`;
}

const [width, rowHeight, deepest] = [1600, 17, 90];
/** Narrower ones tell nothing. */
const leastPixels = 0.4;

/** A flame graph: the width is time, what was called stands above its caller; a title tells more of each. */
export function flameGraph(profile: Profile): string {
  const root = treeOf(profile);
  const boxes: string[] = [];
  let depth = 0;
  const draw = (frame: Frame, left: number, level: number): void => {
    const wide = (frame.totalUs / root.totalUs) * width;
    if (wide < leastPixels || level > deepest) return;
    depth = Math.max(depth, level);
    boxes.push(box(frame, left, wide, level, root.totalUs));
    let at = left;
    for (const child of [...frame.children.values()].sort((one, other) => other.totalUs - one.totalUs)) {
      draw(child, at, level + 1);
      at += (child.totalUs / root.totalUs) * width;
    }
  };
  draw(root, 0, 0);
  const height = (depth + 1) * rowHeight;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 ${-depth * rowHeight} ${width} ${height}" font-family="monospace" font-size="11">
${boxes.join('\n')}
</svg>
`;
}

function box({ name, totalUs }: Frame, left: number, wide: number, level: number, allUs: number): string {
  const share = `${((totalUs / allUs) * 100).toFixed(2)} %`;
  const characters = Math.floor((wide - 4) / 6.7);
  const label =
    characters < 3
      ? ''
      : `<text x="${(left + 2).toFixed(1)}" y="${-level * rowHeight + 12}">${escaped(name.slice(0, characters))}</text>`;
  const rectangle = `<rect x="${left.toFixed(1)}" y="${-level * rowHeight}" width="${wide.toFixed(1)}" height="${rowHeight - 1}" fill="${colour(name)}"/>`;
  return `<g><title>${escaped(name)}: ${share}</title>${rectangle}${label}</g>`;
}

/** Ours, that of ssh2 and that of everything else. */
function colour(name: string): string {
  if (name.includes(' src/')) return '#f4a259';
  return / ssh2\//.test(name) ? '#8cb369' : '#cbd5e1';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
