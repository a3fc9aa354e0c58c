import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { installGpu, type InstallGpuOptions } from '#cli/commands/install-gpu.ts';
import type { CliContext } from '#cli/context.ts';
import { CUDA_WHEEL } from '#models/install/cuda-wheel.ts';
import { INSTALL_PART_PREFIX } from '#models/install/install-provider.ts';
import { hangingIndex } from '../models/hanging-index.ts';
import { DEMO_PACKAGE } from '../models/package-fixture.ts';
import { HAS_PIP, standInWheel, type StandInWheel } from '../models/stand-in-wheel.ts';
import { inProcess, temporaryFolder } from './harness.ts';

const HERE = `${process.platform}/${process.arch}`;
const LIBRARIES = CUDA_WHEEL.libraries.map(({ name }) => name);

/** Without a GPU the driver's library is not there either. */
const HAS_GPU = existsSync('/dev/nvidia0');

describe.skipIf(!HAS_PIP || HERE !== CUDA_WHEEL.platform || HAS_GPU)('install-gpu', () => {
  let root: string;
  let folder: string;
  let standIn: StandInWheel;
  let interrupt: () => void;

  beforeEach(async () => {
    root = await temporaryFolder();
    folder = join(root, 'providers');
    await mkdir(folder);
    standIn = standInWheel(root);
    vi.stubEnv('PIP_CONFIG_FILE', '/dev/null');
  });

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  async function run(options: Partial<InstallGpuOptions>) {
    let stdout = '';
    let stderr = '';
    const context: CliContext = {
      open: () => Promise.reject(new Error('it opens no cloud')),
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      progress: null,
      columns: undefined,
      workingDirectory: root,
      onInterrupt: (listener) => {
        interrupt = listener;
        return () => undefined;
      },
    };
    const exitCode = await installGpu(
      context,
      { state: '.flexcache', model: DEMO_PACKAGE, ...options },
      { wheel: standIn.wheel, folder },
    );
    return { exitCode, stdout, stderr };
  }

  test('places the libraries, once, and says which libraries the system lacks and how to get them', async () => {
    const first = await run({ wheel: standIn.file });
    const second = await run({ wheel: standIn.file, json: true });

    expect(first.stdout).toMatch(
      new RegExp(`^libraries +installed: ${LIBRARIES.join(', ')} in ${folder}\n`),
    );
    expect(first.stdout).toMatch(
      /\ncuda +NOT USABLE: gpu_missing: .*libcuda\.so\.1 (is|are) not there: install NVIDIA's driver, 580 .*\n$/,
    );
    expect(JSON.parse(second.stdout)).toEqual({
      folder,
      files: LIBRARIES,
      alreadyThere: true,
      provider: {
        name: 'cuda',
        error: expect.objectContaining({ code: 'gpu_missing', fix: expect.any(String) }),
      },
    });
    expect([first.exitCode, second.exitCode]).toEqual([1, 1]);
    expect([first.stderr, second.stderr]).toEqual(['', '']);
    expect((await readdir(folder)).sort()).toEqual(LIBRARIES.toSorted());
  });

  test('removes what a killed installation left, and not what another one is using', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    const [left, inUse] = [pid, process.pid].map((id) => `${INSTALL_PART_PREFIX}${id}.a.part`);
    for (const part of [left!, inUse!])
      await mkdir(join(folder, part, 'wheel'), { recursive: true });

    await run({ wheel: standIn.file });

    expect((await readdir(folder)).sort()).toEqual([inUse!, ...LIBRARIES].sort());
  });

  test('an interrupt during the download ends it, with nothing left', async () => {
    const { url, asked } = await hangingIndex();
    vi.stubEnv('PIP_INDEX_URL', url);

    const running = run({});
    await asked;
    interrupt();

    expect(await running).toEqual({
      exitCode: 130,
      stdout: '',
      stderr: expect.stringMatching(/^flexcache: downloading flexcache-stand-in 1\.0 \(.*\)\n$/),
    });
    expect(await readdir(folder)).toEqual([]);
  });

  test('a wheel that is not there is wrong input', async () => {
    const { flexcache } = await inProcess();

    const { exitCode, stderr } = await flexcache('install-gpu', '--force', '--wheel', 'no.whl');

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(
      /^flexcache: invalid_input: .*no\.whl cannot be read: .*pip download.*\n$/,
    );
  });
});
