import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { startProcess, temporaryFolder } from './harness.ts';

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

  test('doctor reports every item as JSON and names a missing model', async () => {
    const folder = await temporaryFolder();
    const args = ['doctor', '--json', '--model', 'nowhere', '--state', 'none'];

    const { exitCode, stdout } = await startProcess(folder, args, {}, LAUNCHER).ended;

    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      node: process.version,
      onnxruntime: { version: expect.any(String), providers: expect.arrayContaining(['cpu']) },
      zstd: expect.stringMatching(/^(zstd-napi|node:zlib)$/),
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

const OLD_NODE = '/usr/bin/node';
const oldVersion = existsSync(OLD_NODE)
  ? (await promisify(execFile)(OLD_NODE, ['--version'])).stdout.trim()
  : null;
const isOld = oldVersion !== null && Number(/\d+/.exec(oldVersion)![0]) < 22;

test.skipIf(!isOld)(
  'the launcher brings its own Node where the installed one is too old',
  async () => {
    const { stdout } = await promisify(execFile)(OLD_NODE, [LAUNCHER, '--version']);

    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  },
);
