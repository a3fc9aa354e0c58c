import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CUDA_WHEEL, type ProviderWheel } from '#models/install/cuda-wheel.ts';
import {
  INSTALL_PART_PREFIX,
  installProvider,
  type InstallProviderOptions,
} from '#models/install/install-provider.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { hangingIndex } from './hanging-index.ts';
import { HAS_PIP, standInWheel } from './stand-in-wheel.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const LIBRARIES = CUDA_WHEEL.libraries.map(({ name }) => name).sort();

describe.skipIf(!HAS_PIP)('installing a provider', () => {
  let root: string;
  /** Where the libraries go. */
  let folder: string;
  /** What pip finds packages in; no other index is asked. */
  let index: string;
  let wheel: ProviderWheel;
  let wheelFile: string;

  const install = (options: Partial<InstallProviderOptions> = {}): Promise<boolean> =>
    installProvider({ folder, wheel, platform: CUDA_WHEEL.platform, ...options });

  beforeEach(async () => {
    root = await temporaryFolder();
    folder = join(root, 'providers');
    index = join(root, 'index');
    await mkdir(folder);
    await mkdir(index);
    ({ file: wheelFile, wheel } = standInWheel(index));
    vi.stubEnv('PIP_CONFIG_FILE', '/dev/null');
    vi.stubEnv('PIP_NO_INDEX', '1');
    vi.stubEnv('PIP_FIND_LINKS', index);
  });

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  /** From now on pip asks this index alone, twice at most. */
  function useIndex(url: string): void {
    vi.stubEnv('PIP_NO_INDEX', undefined);
    vi.stubEnv('PIP_FIND_LINKS', undefined);
    vi.stubEnv('PIP_INDEX_URL', url);
    vi.stubEnv('PIP_RETRIES', '1');
  }

  test('pip takes the wheel from the index of its settings, and its two libraries alone are placed', async () => {
    const isNew = await install();

    expect(isNew).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(LIBRARIES);
    for (const name of LIBRARIES) {
      expect(await readFile(join(folder, name), 'utf8')).toMatch(`stands for ${name}`);
    }
  });

  test('what is there is left alone, unless it is forced or not what it should be', async () => {
    const [shared, cuda] = wheel.libraries.map(({ name }) => join(folder, name));
    await install();
    const first = await stat(cuda!);

    expect(await install()).toBe(false);
    expect((await stat(cuda!)).ino).toBe(first.ino);
    expect(await install({ isForced: true })).toBe(true);
    expect((await stat(cuda!)).ino).not.toBe(first.ino);
    await writeFile(shared!, 'torn');
    expect(await install()).toBe(true);
    expect(await readFile(shared!, 'utf8')).toMatch('stands for');
    expect((await readdir(folder)).sort()).toEqual(LIBRARIES);
  });

  test('a wheel that is there needs neither index nor network', async () => {
    const moved = join(root, 'another name');
    await rename(wheelFile, moved);

    expect(await install({ wheelFile: moved })).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(LIBRARIES);
  });

  test('a file that is not the wheel is refused, as is one that is not there', async () => {
    const other = join(root, 'other.whl');
    await writeFile(other, 'another wheel');

    for (const [file, message] of [
      [other, wheel.sha256],
      [join(root, 'nowhere.whl'), 'ENOENT'],
    ] as const) {
      await expect(install({ wheelFile: file })).rejects.toMatchObject({
        code: 'invalid_input',
        field: 'wheel',
        message: expect.stringContaining(message),
        fix: expect.stringContaining(`${wheel.package}==${wheel.version}`),
      });
    }
    expect(await readdir(folder)).toEqual([]);
  });

  test.each<
    [string, () => unknown, Partial<ProviderWheel>, string, string | RegExp, string | RegExp]
  >([
    [
      'an index with another file under the name',
      () => undefined,
      { sha256: '0'.repeat(64) },
      'install_failed',
      /flexcache-stand-in==1\.0: .*wrong checksum/,
      'pip config list',
    ],
    [
      'an index without the package',
      () => undefined,
      { version: '2.0' },
      'install_failed',
      'the package index does not have it',
      '--wheel',
    ],
    [
      'no network',
      () => useIndex('http://127.0.0.1:9/'),
      {},
      'install_failed',
      'the package index cannot be reached',
      /check the network.*--wheel/,
    ],
    [
      'no python3',
      () => vi.stubEnv('PATH', folder),
      {},
      'install_failed',
      'python3 cannot be started',
      'python3-pip',
    ],
    [
      'a python3 without pip',
      () => {
        const environment = join(root, 'environment');
        execFileSync('python3', ['-m', 'venv', '--without-pip', environment]);
        vi.stubEnv('PATH', join(environment, 'bin'));
      },
      {},
      'install_failed',
      'python3 has no pip',
      'python3-pip',
    ],
    [
      'a disk without room for it',
      () => undefined,
      { bytes: 2 ** 60 },
      'disk_full',
      /has \d+ MB free, and installing needs \d+ MB/,
      'free some space',
    ],
    [
      'a library that is not what it should be',
      () => undefined,
      { libraries: CUDA_WHEEL.libraries.map((library) => ({ ...library, bytes: 1 })) },
      'install_failed',
      'was damaged while it was unpacked',
      'check the disk',
    ],
  ])(
    '%s is an error that says what to do, and leaves nothing',
    async (_, prepare, changed, code, message, fix) => {
      prepare();

      const failure = install({ wheel: { ...wheel, ...changed } });

      await expect(failure).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
        fix: expect.stringMatching(fix),
      });
      expect(await readdir(folder)).toEqual([]);
    },
  );

  test('a platform that the provider is not for is refused before anything is done', async () => {
    await expect(install({ platform: 'darwin/arm64' })).rejects.toMatchObject({
      code: 'gpu_missing',
      message: expect.stringMatching(/linux\/x64 only, and this is darwin\/arm64/),
    });
  });

  test.skipIf(process.getuid?.() === 0)('a folder without permission is said so', async () => {
    await chmod(folder, 0o500);

    await expect(install()).rejects.toMatchObject({
      code: 'permission_denied',
      message: expect.stringContaining(folder),
    });
  });

  test('one that is stopped ends pip and leaves nothing', async () => {
    const { url, asked } = await hangingIndex();
    useIndex(url);
    const stop = new AbortController();
    const onDownload = vi.fn();

    const installing = install({ signal: stop.signal, onDownload });
    await asked;
    expect(onDownload).toHaveBeenCalledOnce();
    expect(await readdir(folder)).toEqual([expect.stringContaining(INSTALL_PART_PREFIX)]);
    stop.abort();

    await expect(installing).rejects.toMatchObject({ name: 'AbortError' });
    expect(await readdir(folder)).toEqual([]);
  });

  test('one that is killed leaves no library, and one folder with the id of its process', async () => {
    const { url, asked } = await hangingIndex();
    useIndex(url);
    const script = `
      import { installProvider } from '#models/install/install-provider.ts';
      await installProvider(JSON.parse(process.argv[1]));`;
    const options = { folder, wheel, platform: CUDA_WHEEL.platform };

    const child = spawn(
      process.execPath,
      ['--input-type=module', '--eval', script, JSON.stringify(options)],
      { cwd: ROOT, stdio: 'ignore' },
    );
    await asked;
    child.kill('SIGKILL');
    await once(child, 'exit');

    expect(await readdir(folder)).toEqual([
      expect.stringMatching(new RegExp(`^\\${INSTALL_PART_PREFIX}${child.pid}\\..*\\.part$`)),
    ]);
  });
});
