import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { definitionFile, MACHINES, synthesizeDefinitions } from './definitions.ts';
import { REPOSITORY_ROOT } from './repository-root.ts';

const definitions = synthesizeDefinitions();
for (const machine of MACHINES) {
  writeFileSync(
    resolve(REPOSITORY_ROOT, definitionFile(machine)),
    `${JSON.stringify(definitions[machine], null, 2)}\n`,
  );
}
