import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';

/** What the figures were taken on, in one line. */
export function machine(): string {
  const git = spawnSync('git', ['--version'], { encoding: 'utf8' }).stdout.trim();
  const [first] = cpus();
  const addon = hasNativeCrypto() ? 'native crypto of ssh2 loaded' : 'native crypto of ssh2 not loaded';
  return `Node ${process.version}, ${cpus().length} × ${first?.model.trim() ?? 'unknown'}, ${git}, ${addon}`;
}

/** ssh2 builds it at installation, for the Node that npm runs on; under another one it goes without. */
function hasNativeCrypto(): boolean {
  try {
    createRequire(import.meta.url)('ssh2/lib/protocol/crypto/build/Release/sshcrypto.node');
    return true;
  } catch {
    return false;
  }
}
