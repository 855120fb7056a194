import crypto from 'node:crypto';
import { createRequire } from 'node:module';
import type Ssh2 from 'ssh2';
import { type Keyed, withKeyObjects } from './key-objects.ts';

/**
 * ssh2, as everything here gets it. It gives Node a key as octets with every packet, and Node takes it in anew and finds
 * out that it is no `KeyObject` by an error that it throws and catches: 13 of the 18 µs that a packet costs (Node 24.21,
 * decision 15). So ssh2 is given functions that remember, while it is loaded and not a moment longer.
 */
export const ssh2: typeof Ssh2 = withKeyObjects(crypto as unknown as Keyed, () =>
  createRequire(import.meta.url)('ssh2'),
);
