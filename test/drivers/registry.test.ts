import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadDrivers } from '../../src/drivers/registry.ts';

it('every file of the folder is a driver under its own name, but for the contract and the registry', async () => {
  const folder = new URL('../../src/drivers/', import.meta.url);
  const files = readdirSync(folder).map((file) => file.replace(/\.ts$/, ''));
  const drivers = await loadDrivers();
  expect([...drivers.keys()]).toEqual(files.filter((id) => id !== 'driver' && id !== 'registry').sort());
  for (const [id, driver] of drivers) expect(driver.id).toBe(id);
});

it('knows the three platforms', async () => {
  expect([...(await loadDrivers()).keys()]).toEqual(['cisco_asa', 'f5_bigip', 'fortinet_fortigate']);
});
