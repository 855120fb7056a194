import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Platforms } from './combinations.ts';
import { type Counters, createCounters } from './counters.ts';
import { type Build, collectorText, type DeviceDetail, deviceSlices } from './gauges.ts';
import type { MetricsSource } from './source.ts';

/** What `/metrics` answers with, and what feeds it. */
export interface Metrics extends Counters {
  /** Of `render`: text format 0.0.4. OpenMetrics would rename the counters for good. */
  readonly contentType: string;
  /** Everything as it is now. Rejects with what the source rejects with. */
  render(): Promise<string>;
}

export interface MetricsOptions {
  readonly source: MetricsSource;
  /** The closed lists of the labels `platform` and `archive`. */
  readonly platforms: Platforms;
  /** The setting `metrics.device_detail`. */
  readonly deviceDetail: DeviceDetail;
  readonly build: Build;
}

/** Gauges of prom-client that are named like counters, which `promtool check metrics` refuses. */
const misnamed = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
] as const;

/** A registry of its own, so that two of them in one process know nothing of each other. */
export function createMetrics({ source, platforms, deviceDetail, build }: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  const counters = createCounters(registry, platforms);
  return {
    ...counters,
    contentType: registry.contentType,
    render: async () => {
      // One after the other: each looks at every device, and others have their turn in between.
      const view = await source.collector();
      await turn();
      const devices = await source.devices();
      await turn();
      const own = [await registry.metrics(), collectorText(view, devices, [...platforms.keys()], build)];
      await turn();
      // As bytes, outside of the heap: a hundred thousand pieces of text would be moved about by the garbage collector,
      // which holds up the event loop for longer than making them does.
      const parts = own.map((text) => Buffer.from(text, 'utf8'));
      for (const slice of deviceSlices(devices, deviceDetail)) {
        parts.push(Buffer.from(slice, 'utf8'));
        await turn();
      }
      return Buffer.concat(parts).toString('utf8');
    },
  };
}

/** Lets sessions, timers and other requests go on. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
