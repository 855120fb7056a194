import { readFileSync } from 'node:fs';
import type { Build } from '../metrics/gauges.ts';

/** From package.json, and $ROUNDSMAN_REVISION, which an image is built with. */
export function buildInfo(): Build {
  const packageFile = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string };
  return {
    version,
    revision: process.env.ROUNDSMAN_REVISION ?? 'unknown',
    nodeVersion: process.version,
  };
}
