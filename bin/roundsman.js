#!/usr/bin/env node
// Plain old JavaScript, because it has to run where Node is too old, in order to say so.
// biome-ignore lint/style/useNodejsImportProtocol: Node before 12.20 does not know node: in an import
import { spawn } from 'child_process';
// biome-ignore lint/style/useNodejsImportProtocol: the same
import { existsSync } from 'fs';
// biome-ignore lint/style/useNodejsImportProtocol: the same
import module from 'module';
// biome-ignore lint/style/useNodejsImportProtocol: the same
import { constants } from 'os';
// biome-ignore lint/style/useNodejsImportProtocol: the same
import { fileURLToPath } from 'url';

/** Of Node: major, minor. The same is in package.json, which npm does not enforce. */
const needed = [24, 15];
// The sources of a checkout run as they are; a package holds them compiled.
const source = beside('../src/main.ts');
/** The npm package `node`, where the checkout brings it along. */
const broughtAlong = beside('../node_modules/node/bin/node');
/**
 * What was compiled before: a command begins twice as fast with it. It lies beside the program, because whoever may
 * write there may change the program as well; who may not does without.
 */
const compiled = beside('../node_modules/.cache/roundsman');

/** The path of a file that is named relative to this one. */
function beside(path) {
  return fileURLToPath(new URL(path, import.meta.url));
}

function isNewEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > needed[0] || (major === needed[0] && minor >= needed[1]);
}

function complain() {
  const version = `${process.versions.node} (${process.execPath})`;
  process.stderr.write(
    `roundsman: Node ${needed.join('.')} or newer is needed, this is ${version}\n` +
      '  → install Node 24 from https://nodejs.org, or run `npm ci` in a checkout of roundsman: it brings its own\n',
  );
  process.exitCode = 1;
}

/** Runs this very command with another Node and becomes as transparent as a process can be. */
function runWith(node) {
  const script = fileURLToPath(import.meta.url);
  const child = spawn(node, [script].concat(process.argv.slice(2)), { stdio: 'inherit' });
  // Ctrl-C on a terminal reaches the child by itself; a second SIGINT would end it the hard way.
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  process.on('SIGINT', () => {
    if (!onTerminal) child.kill('SIGINT');
  });
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`roundsman: ${node} cannot be started: ${error.message}\n`);
    complain();
  });
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? code : 128 + constants.signals[signal];
  });
}

if (isNewEnough()) {
  module.enableCompileCache(compiled);
  import(existsSync(source) ? '../src/main.ts' : '../dist/main.js').catch((error) => {
    process.stderr.write(`roundsman: ${error instanceof Error ? error.stack : error}\n`);
    process.exitCode = 1;
  });
} else if (existsSync(broughtAlong) && broughtAlong !== process.execPath) {
  runWith(broughtAlong);
} else {
  complain();
}
