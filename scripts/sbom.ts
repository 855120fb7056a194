/**
 * Writes the bill of materials of a release (CycloneDX) to FILE, `dist/sbom.cdx.json` where none is named. The
 * instant in it is $SOURCE_DATE_EPOCH (seconds) where that is set.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { billOfMaterials } from './bom.ts';

const [file = 'dist/sbom.cdx.json'] = process.argv.slice(2);
const epoch = process.env.SOURCE_DATE_EPOCH;
const bom = billOfMaterials(epoch === undefined ? Date.now() : Number(epoch) * 1_000);
mkdirSync(dirname(file), { recursive: true });
writeFileSync(file, `${JSON.stringify(bom, null, 2)}\n`);
console.log(`${file}: ${bom.components.length} components`);
