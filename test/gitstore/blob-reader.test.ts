import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { blobReader } from '../../src/gitstore/blob-reader.ts';
import { type Git, type GitChild, gitIn } from '../../src/gitstore/git.ts';
import { describeWith } from '../support/system.ts';

describeWith('git', 'the reader of blobs', (gitPath) => {
  let dir: string;
  let children: GitChild[];
  let read: (name: string) => Promise<Buffer | null>;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'roundsman-blobs-'));
    execFileSync(gitPath, ['init', '--quiet', '--bare', dir]);
    const git = gitIn(dir, gitPath);
    children = [];
    const watched: Git = {
      ...git,
      start(args) {
        const child = git.start(args);
        children.push(child);
        return child;
      },
    };
    read = blobReader(watched);
  });
  afterEach(async () => {
    for (const child of children) child.process.stdin.end();
    await Promise.all(children.map(({ ended }) => ended));
    rmSync(dir, { recursive: true, force: true });
  });

  const stored = (bytes: Buffer): string =>
    execFileSync(gitPath, ['--git-dir', dir, 'hash-object', '-w', '--stdin'], { input: bytes })
      .toString()
      .trim();

  it('answers each of many questions with its own bytes, whatever they hold, from one process', async () => {
    const texts = [
      Buffer.from(''),
      Buffer.from('\n'),
      Buffer.from('no line feed at the end'),
      Buffer.from('deadbeef blob 5\nhello\nx missing\n'),
      Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7) & 255)),
      Buffer.from('\0\0\r\n\xff', 'latin1'),
    ];
    const names = texts.map(stored);
    const answers = await Promise.all([...names, ...names].map((name) => read(name)));
    expect(answers.map((answer) => answer?.toString('hex'))).toEqual(
      [...texts, ...texts].map((text) => text.toString('hex')),
    );
    expect(children).toHaveLength(1);
  });

  it('gives nothing for what is missing or no blob, and goes on', async () => {
    const name = stored(Buffer.from('text\n'));
    const tree = execFileSync(gitPath, ['--git-dir', dir, 'mktree'], { input: '' }).toString().trim();
    const asked = [`${'0'.repeat(40)}:devices/x`, tree, name];
    expect((await Promise.all(asked.map((one) => read(one)))).map(String)).toEqual([
      'null',
      'null',
      'text\n',
    ]);
  });

  it('gives nothing where its process dies, and takes another one for the next question', async () => {
    const name = stored(Buffer.from('text\n'));
    await read(name);
    children[0]?.process.kill('SIGKILL');
    await children[0]?.ended;
    expect(String(await read(name))).toBe('text\n');
    expect(children).toHaveLength(2);
  });

  it('gives nothing where git cannot be run', async () => {
    expect(await blobReader(gitIn(dir, '/nonexistent/git'))('x')).toBeNull();
  });

  it('keeps no program from ending, and leaves no process behind', async () => {
    const name = stored(Buffer.from('text\n'));
    const source = (path: string): string =>
      pathToFileURL(join(import.meta.dirname, '../../src/gitstore', path)).href;
    const file = join(dir, 'program.mjs');
    writeFileSync(
      file,
      `import { blobReader } from '${source('blob-reader.ts')}';
import { gitIn } from '${source('git.ts')}';
const git = gitIn('${dir}', '${gitPath}');
let pid = 0;
const read = blobReader({ ...git, start(args) { const child = git.start(args); pid = child.process.pid; return child; } });
const text = await read('${name}');
const holding = process.getActiveResourcesInfo().filter((one) => one === 'ProcessWrap');
process.stdout.write(\`\${pid} \${text}\${holding.length} hold it\`);
`,
    );
    const program = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    program.stdout.on('data', (piece: Buffer) => {
      said += piece.toString();
    });
    const [code] = await once(program, 'close');
    expect({ code, said }).toEqual({ code: 0, said: expect.stringMatching(/^\d+ text\n0 hold it$/) });
    const pid = Number(said.split(' ')[0]);
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
