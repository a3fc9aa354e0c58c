/**
 * Writes the published schema of model packages: `npm run build:schema`.
 */
import { writeFileSync } from 'node:fs';
import { manifestJsonSchema } from './manifest-schema.ts';

const TARGET = new URL('../../docs/model-package.schema.json', import.meta.url);

writeFileSync(TARGET, `${JSON.stringify(manifestJsonSchema(), null, 2)}\n`);
