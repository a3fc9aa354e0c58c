import { readFile, symlink, writeFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const DEMO_PACKAGE = resolve(import.meta.dirname, '../../../containers/demo-model/package');

/**
 * The demo package with few steps, so that a calibration of it takes a minute: the real networks, and a
 * manifest of its own.
 */
export async function smallPackage(folder: string): Promise<string> {
  for (const name of await readdir(DEMO_PACKAGE)) {
    if (name.endsWith('.json') && name !== 'tokenizer.json') continue;
    await symlink(join(DEMO_PACKAGE, name), join(folder, name));
  }
  const manifest = JSON.parse(await readFile(join(DEMO_PACKAGE, 'model.json'), 'utf8'));
  const scheduler = { ...manifest.scheduler, steps: 5, solver: 'ab2', referenceSteps: 6 };
  await writeFile(join(folder, 'model.json'), JSON.stringify({ ...manifest, scheduler }));
  return folder;
}
