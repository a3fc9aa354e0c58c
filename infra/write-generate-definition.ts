import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { GENERATE_DEFINITION_FILE, synthesizeGenerateDefinition } from './generate-definition.ts';
import { REPOSITORY_ROOT } from './repository-root.ts';

writeFileSync(
  resolve(REPOSITORY_ROOT, GENERATE_DEFINITION_FILE),
  `${JSON.stringify(synthesizeGenerateDefinition(), null, 2)}\n`,
);
