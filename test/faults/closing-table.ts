import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import type { FaultCase, Shown } from './case.ts';
import { cases, howMany, namePattern } from './cases.ts';

/** How a case ended. `why`: of a failure or a skip; empty for none. */
interface Ended {
  readonly result: 'ok' | 'failed' | 'skipped' | 'trial' | 'missing';
  readonly why: string;
}

/** Closes a run with one line for each of the 67 cases, and fails it where one is missing, failed or did not run. */
export default class ClosingTable implements Reporter {
  readonly #fromMs = performance.now();

  onTestRunEnd(modules: readonly TestModule[]): void {
    const byNumber = new Map(cases.map((one) => [one.number, one]));
    const totals = { ok: 0, failed: 0, skipped: 0, trial: 0, missing: 0 };
    const line = (number: string, title: string, tier: string, result: string): void =>
      console.log(`${number.padStart(2)}  ${title.slice(0, 66).padEnd(66)}  ${tier.padEnd(6)}  ${result}`);
    console.log();
    line('#', 'case', 'tier', 'result');
    for (let number = 1; number <= howMany; number++) {
      const one = byNumber.get(number);
      const { result, why } =
        one === undefined ? ({ result: 'missing', why: '' } as const) : ended(one, modules);
      totals[result] += 1;
      line(String(number), one?.title ?? '', one?.tier ?? '', why === '' ? result : `${result}: ${why}`);
    }
    const minutes = ((performance.now() - this.#fromMs) / 60_000).toFixed(1);
    const said = Object.entries(totals).map(([result, count]) => `${count} ${result}`);
    console.log(`${howMany} cases in ${minutes} min: ${said.join(', ')}`);
    if (totals.failed + totals.missing > 0) process.exitCode = 1;
  }
}

function ended(one: FaultCase, modules: readonly TestModule[]): Ended {
  const found = one.shown.flatMap((shown) => shown.names.map((name) => shownBy(shown, name, modules)));
  const worst =
    found.find(({ result }) => result === 'failed') ?? found.find(({ result }) => result === 'skipped');
  if (worst !== undefined) return worst;
  if (one.tier === 'trial') return { result: 'trial', why: '' };
  return found.length > 0 ? { result: 'ok', why: '' } : { result: 'failed', why: 'no test is named' };
}

function shownBy({ file }: Shown, name: string, modules: readonly TestModule[]): Ended {
  const own = modules.filter(({ moduleId }) => relative(process.cwd(), moduleId) === file);
  // A group that cannot run here says in its name what it needs.
  const pattern = new RegExp(`^${namePattern(name)}(?: \\(needs [^)]*\\))?$`);
  const tests = own.flatMap((module) => [...module.children.allTests()]);
  const named = tests.filter((test) => chainOf(test).some((part) => pattern.test(part)));
  const failed = (why: string): Ended => ({ result: 'failed', why: `${why} (${file}: ${name})` });
  if (own.some((module) => module.errors().length > 0)) return failed('the file cannot be run');
  if (named.length === 0) return failed('did not run');
  if (named.some((test) => test.result().state === 'failed' || hookFailed(test)))
    return failed('a test failed');
  if (named.some((test) => test.result().state === 'passed')) return { result: 'ok', why: '' };
  const needs = named.flatMap(chainOf).flatMap((part) => / \((needs [^)]*)\)$/.exec(part)?.[1] ?? [])[0];
  return needs === undefined ? failed('was skipped') : { result: 'skipped', why: needs };
}

/** The names of a test and of the groups around it. */
function chainOf(test: TestCase): readonly string[] {
  const names = [test.name];
  for (let parent = test.parent; parent.type === 'suite'; parent = parent.parent) names.push(parent.name);
  return names;
}

/** A hook that fails leaves its tests skipped. */
function hookFailed(test: TestCase): boolean {
  for (let parent = test.parent; parent.type === 'suite'; parent = parent.parent)
    if (parent.errors().length > 0) return true;
  return false;
}
