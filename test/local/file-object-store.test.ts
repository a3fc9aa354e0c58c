import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { InvalidInputError, ObjectMissingError } from '#core/errors.ts';
import { FileObjectStore } from '#local/file-object-store.ts';
import { contentDisposition } from '#aws/content-disposition.ts';
import { ObjectCorruptError } from '#ports/errors.ts';
import type { PresignOptions } from '#ports/objects.ts';
import { collect } from '../collect.ts';
import { objectStoreContract } from '../ports/object-store.contract.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { onSmallDisk } from './small-disk.ts';

describe('FileObjectStore', () => {
  let folder: string;
  let store: FileObjectStore;
  let server: Server;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flexcache-objects-'));
    server = createServer((request, response) => void serve(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    store = await FileObjectStore.open(folder, {
      presign: (key, options) =>
        `http://127.0.0.1:${port}/${key}?${new URLSearchParams({ options: JSON.stringify(options) })}`,
    });
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** As whoever gives the signer serves the files. */
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, 'http://localhost');
    const options = JSON.parse(searchParams.get('options')!) as PresignOptions;
    const body = await store.get(pathname.slice(1)).catch(() => null);
    response.writeHead(body === null ? 404 : 200, {
      ...(options.contentType !== undefined && { 'content-type': options.contentType }),
      ...(options.fileName !== undefined && {
        'content-disposition': contentDisposition(options.fileName),
      }),
    });
    response.end(body ?? undefined);
  }

  objectStoreContract(() => store, { isAtomic: true });
});

describe('FileObjectStore on disk', () => {
  test('objects outlive the store that wrote them', async () => {
    const folder = await temporaryFolder();
    await (await FileObjectStore.open(folder)).put('a/b', Buffer.from('kept'));

    const reopened = await FileObjectStore.open(folder);

    expect(Buffer.from(await reopened.get('a/b')).toString()).toBe('kept');
  });

  test('without a signer no address is made', async () => {
    const store = await FileObjectStore.open(await temporaryFolder());

    await expect(store.presign('videos/v/1.mp4', { expiresSeconds: 60 })).rejects.toMatchObject({
      code: 'internal',
      message: 'nothing serves object videos/v/1.mp4 to others',
    });
  });

  test('a file is the body and an MP4 box that players skip', async () => {
    const folder = await temporaryFolder();
    await (await FileObjectStore.open(folder)).put('v.mp4', Buffer.from('body'));

    const file = await readFile(join(folder, 'v.mp4'));

    expect(file.toString('latin1', 0, 4)).toBe('body');
    expect(file.readUInt32BE(4)).toBe(file.length - 4);
    expect(file.toString('latin1', 8, 12)).toBe('free');
  });

  test('any single flipped bit is found', async () => {
    const folder = await temporaryFolder();
    const store = await FileObjectStore.open(folder);
    await store.put('flip', Buffer.from('some bytes of a latent'));
    const whole = await readFile(join(folder, 'flip'));

    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length * 8 - 1), async (bit) => {
        const altered = Buffer.from(whole);
        altered[bit >> 3]! ^= 1 << (bit & 7);
        await writeFile(join(folder, 'flip'), altered);
        await expect(store.get('flip')).rejects.toThrow(ObjectCorruptError);
      }),
    );
  });

  test('a stretch beyond the end, or of a file that was cut, is refused', async () => {
    const folder = await temporaryFolder();
    const store = await FileObjectStore.open(folder);
    await store.put('it', Uint8Array.of(1, 2, 3));

    await expect(store.getRange('it', 3, 1)).rejects.toThrow(ObjectCorruptError);
    await truncate(join(folder, 'it'), 20);
    await expect(store.getRange('it', 0, 1)).rejects.toThrow(ObjectCorruptError);
  });

  test('a file cut anywhere is found', async () => {
    const folder = await temporaryFolder();
    const store = await FileObjectStore.open(folder);
    await store.put('cut', Buffer.alloc(100, 7));

    for (const length of [155, 100, 57, 56, 55, 1, 0]) {
      await truncate(join(folder, 'cut'), length);
      await expect(store.get('cut')).rejects.toThrow(ObjectCorruptError);
      expect(await store.head('cut')).toMatchObject({ sha256: '' });
    }
  });

  test('a damaged object can be deleted and put again', async () => {
    const folder = await temporaryFolder();
    const store = await FileObjectStore.open(folder);
    await mkdir(join(folder, 'a'));
    await writeFile(join(folder, 'a', 'b'), 'foreign');

    await store.delete('a/b');
    await store.put('a/b', Buffer.from('ours'), { ifNoneMatch: true });

    expect(Buffer.from(await store.get('a/b')).toString()).toBe('ours');
  });

  test('a deletion leaves no empty folders behind', async () => {
    const folder = await temporaryFolder();
    const store = await FileObjectStore.open(folder);
    await store.put('videos/v1/a.mp4', Buffer.from('x'));

    await store.delete('videos/v1/a.mp4');

    expect(await readdir(folder)).toEqual(['~writing']);
  });

  test('a key that is the folder of another is refused, not mistaken', async () => {
    const store = await FileObjectStore.open(await temporaryFolder());
    await store.put('a/b', Buffer.from('x'));

    for (const ifNoneMatch of [true, false]) {
      const options = { ifNoneMatch };
      await expect(store.put('a', Buffer.from('x'), options)).rejects.toThrow(InvalidInputError);
      await expect(store.put('a/b/c', Buffer.from('x'), options)).rejects.toThrow(
        InvalidInputError,
      );
    }
    await expect(store.get('a')).rejects.toThrow(ObjectMissingError);
    expect(await store.head('a')).toBeNull();
    await store.delete('a');
    expect(await store.head('a/b')).not.toBeNull();
  });

  test('a writer killed at any moment leaves whole objects and no leftovers', async () => {
    const folder = await temporaryFolder();
    for (let round = 0; round < 4; round++) {
      const writer = spawn(process.execPath, [
        join(import.meta.dirname, 'write-objects.ts'),
        folder,
        String(round),
      ]);
      await once(writer.stdout, 'data');
      await new Promise((resolve) => setTimeout(resolve, 20 + 37 * round));
      writer.kill('SIGKILL');
      await once(writer, 'exit');

      const store = await FileObjectStore.open(folder);

      expect(await readdir(join(folder, '~writing'))).toEqual([]);
      const heads = await collect(store.list(''));
      expect(heads.length).toBeGreaterThan(0);
      for (const { key } of heads) await store.get(key);
    }
  });

  test('a full disk is said so, leaves nothing half-written, and passes', async () => {
    await onSmallDisk(async (disk) => {
      const store = await FileObjectStore.open(join(disk, 'objects'));
      await store.put('small', Buffer.alloc(1000, 1));

      const failure = await store.put('large', Buffer.alloc(4 << 20)).catch((error) => error);

      expect(failure).toMatchObject({
        code: 'disk_full',
        fix: expect.stringContaining('free space'),
      });
      expect(await store.head('large')).toBeNull();
      expect(await readdir(join(disk, 'objects', '~writing'))).toEqual([]);
      await store.put('another', Buffer.alloc(1000, 2));
    });
  });

  test.skipIf(process.getuid?.() === 0)('a folder without permission is said so', async () => {
    const folder = await temporaryFolder();
    const store = await FileObjectStore.open(folder);
    await chmod(folder, 0o500);

    await expect(store.put('a', Buffer.from('a'))).rejects.toMatchObject({
      code: 'permission_denied',
    });
    await chmod(folder, 0o700);
  });
});
