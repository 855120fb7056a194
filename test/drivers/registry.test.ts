import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadDrivers } from '../../src/drivers/registry.ts';

it('every file of the folder is a driver under its own name, but for the contract and the registry', async () => {
  const folder = new URL('../../src/drivers/', import.meta.url);
  const files = readdirSync(folder).flatMap((file) => (file.endsWith('.ts') ? [file.slice(0, -3)] : []));
  const drivers = await loadDrivers();
  expect([...drivers.keys()]).toEqual(files.filter((id) => id !== 'driver' && id !== 'registry').sort());
  for (const [id, driver] of drivers) expect(driver.id).toBe(id);
});

it('knows the five platforms', async () => {
  expect([...(await loadDrivers()).keys()]).toEqual([
    'cisco_asa',
    'cisco_ios',
    'f5_bigip',
    'fortinet_fortigate',
    'paloalto_panos',
  ]);
});
