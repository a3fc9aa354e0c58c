import { execFile } from 'node:child_process';
import { mkdir, readdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import lock from '../../package-lock.json' with { type: 'json' };
import { startProcess, temporaryFolder } from './harness.ts';

// Packing and unpacking the model takes its time on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

const ROOT = join(import.meta.dirname, '..', '..');

/** The package as npm packs it, below a `node_modules` of its own with what it depends on. */
async function install(folder: string): Promise<string> {
  const run = promisify(execFile);
  const modules = join(folder, 'node_modules');
  const installed = join(modules, 'flexcache');
  await mkdir(installed, { recursive: true });
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], {
    cwd: ROOT,
  });
  const archive = stdout.trim().split('\n').at(-1)!;
  await run('tar', ['-xzf', join(folder, archive), '-C', installed, '--strip-components=1']);
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.')) {
      await symlink(join(ROOT, 'node_modules', name), join(modules, name));
    }
  }
  return join(installed, 'cli', 'flexcache.mjs');
}

test('the packed package makes a video where it is installed as a dependency', async () => {
  const folder = await temporaryFolder();
  const launcher = await install(folder);
  const args = ['generate', 'a red ball rolling over a meadow', '--steps', '2', '--out', 'a.mp4'];

  const { exitCode, stdout, stderr } = await startProcess(folder, [...args, '--json'], {}, launcher)
    .ended;

  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ status: 'completed', steps: { run: 2 } });
  expect((await stat(join(folder, 'a.mp4'))).size).toBeGreaterThan(1000);
});

test('npm ci runs no install script of onnxruntime, which would fetch CUDA, and has nothing to warn of', async () => {
  // npm 10 runs what the lock file marks; npm 11 what allowScripts of package.json says.
  expect(lock.packages['node_modules/onnxruntime-node']).not.toHaveProperty('hasInstallScript');
  expect(await readdir(ROOT)).not.toContain('.npmrc');
  const { stderr } = await promisify(execFile)('npx', ['flexcache', '--version'], { cwd: ROOT });
  expect(stderr).toBe('');
});
