/**
 * Writes the OpenAPI document of the demo package: `npm run build:openapi`.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadManifest } from '#models/manifest.ts';
import { openApiDocument } from './openapi.ts';

const ROOT = new URL('../../', import.meta.url);
const TARGET = new URL('docs/openapi.json', ROOT);
const PACKAGE = fileURLToPath(new URL('containers/demo-model/package', ROOT));

const { manifest } = await loadManifest(PACKAGE);
writeFileSync(TARGET, `${JSON.stringify(openApiDocument(manifest), null, 2)}\n`);
