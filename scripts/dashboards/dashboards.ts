import { device } from './device.ts';
import { overview } from './overview.ts';

/** The dashboards as text, by their path below the repository's root. */
export function dashboardFiles(): readonly (readonly [file: string, text: string])[] {
  return [overview, device].map(
    (made) => [`config/grafana/dashboards/${made.uid}.json`, `${JSON.stringify(made, null, 2)}\n`] as const,
  );
}
