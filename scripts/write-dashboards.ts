/** Writes config/grafana/dashboards/ from scripts/dashboards/. A test fails while they differ. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dashboardFiles } from './dashboards/dashboards.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
for (const [file, text] of dashboardFiles()) {
  writeFileSync(`${root}${file}`, text);
  console.log(file);
}
