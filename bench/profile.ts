/**
 * `npm run bench:profile [-- --devices N] [--changed]`: the CPU profile of one whole backup of a fleet that was read
 * before. Writes `pipeline.cpuprofile` (for the browser's tools or VS Code), `pipeline.folded` (collapsed stacks, for
 * flamegraph.pl or speedscope) and `pipeline.svg` (a flame graph) into bench/profiles/, and prints what is on top.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { flameGraph, foldedStacks, type Profile, selfTimes } from './flame-graph.ts';
import { startFleet } from './fleet/fleet.ts';
import { costOf } from './measure/process.ts';
import { workplaceOf } from './subject/roundsman.ts';

const { values } = parseArgs({
  options: { devices: { type: 'string', default: '300' }, changed: { type: 'boolean', default: false } },
});
const target = fileURLToPath(new URL('profiles/', import.meta.url));
const program = fileURLToPath(new URL('../bin/roundsman.js', import.meta.url));
mkdirSync(target, { recursive: true });

await using fleet = await startFleet({ devices: Number(values.devices) });
using place = await workplaceOf(fleet, 50);
const env = { PATH: process.env.PATH, HOME: process.env.HOME };
const backup = [program, 'backup', '--config', place.config];
await costOf(process.execPath, backup, { env });
if (values.changed) await fleet.change(1);
const profiles = join(place.dir, 'profiles');
const { cpuMs } = await costOf(process.execPath, ['--cpu-prof', `--cpu-prof-dir=${profiles}`, ...backup], {
  env,
});

const [file = ''] = readdirSync(profiles);
renameSync(join(profiles, file), join(target, 'pipeline.cpuprofile'));
const profile = JSON.parse(readFileSync(join(target, 'pipeline.cpuprofile'), 'utf8')) as Profile;
writeFileSync(join(target, 'pipeline.folded'), foldedStacks(profile));
writeFileSync(join(target, 'pipeline.svg'), flameGraph(profile));
const perDevice = (cpuMs / fleet.devices.length).toFixed(1);
process.stdout.write(`${perDevice} ms of CPU for each device, the start of the program included\n\n`);
for (const { share, name } of selfTimes(profile).slice(0, 25))
  process.stdout.write(`${(share * 100).toFixed(1).padStart(5)} %  ${name}\n`);
process.stdout.write(`\n${target}pipeline.svg\n`);
