import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTableServer } from '#local/table-server.ts';
import { collect } from '../collect.ts';
import { sampleEntry, sampleJob } from '../aws/samples.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { onSmallDisk } from './small-disk.ts';

const requireFromDynalite = createRequire(createRequire(import.meta.url).resolve('dynalite'));
const { Level } = requireFromDynalite('level') as {
  Level: new (path: string) => {
    get(key: string): Promise<string | undefined>;
    put(key: string, value: string): Promise<void>;
    close(): Promise<void>;
  };
};

test('what a table holds outlives its server', async () => {
  const path = await temporaryFolder();
  const entry = sampleEntry();
  const job = sampleJob();
  const first = await startTableServer({ path });
  await first.table.putEntry(entry);
  await first.table.createJob(job);
  await first.close();

  const second = await startTableServer({ path });

  expect(await second.table.findExact(entry.exactKey)).toEqual(entry);
  expect((await second.table.listJobs(job.tenant, { limit: 1 })).items).toEqual([job]);
  await second.close();
  await second.close();
});

test('a server killed in the middle of writing leaves what it had acknowledged', async () => {
  const path = await temporaryFolder();
  const writer = spawn(process.execPath, [join(import.meta.dirname, 'write-entries.ts'), path]);
  let said = '';
  writer.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await once(writer.stdout, 'data');
  await new Promise((resolve) => setTimeout(resolve, 300));
  writer.kill('SIGKILL');
  await once(writer, 'close');

  const server = await startTableServer({ path });

  const acknowledged = said.split('\n').filter((line) => /^e\d+\.$/.test(line));
  const entries = await collect(server.table.scanEntries());
  const ids = new Set(entries.map(({ entryId }) => entryId));
  expect(acknowledged.length).toBeGreaterThan(0);
  for (const line of acknowledged) expect(ids).toContain(line.slice(0, -1));
  await server.close();
});

test('a server killed while it created its table is made whole, with all that it holds', async () => {
  const path = await temporaryFolder();
  const entry = sampleEntry();
  const first = await startTableServer({ path });
  await first.table.putEntry(entry);
  await first.close();
  const database = new Level(path);
  const description = (await database.get('table~flexcache'))!;
  await database.put('table~flexcache', description.replaceAll('"ACTIVE"', '"CREATING"'));
  await database.close();

  const second = await startTableServer({ path });

  expect(await second.table.findExact(entry.exactKey)).toEqual(entry);
  await second.close();
});

test('a journal with damaged changes says how many bytes are dropped and keeps those before', async () => {
  const path = await temporaryFolder();
  const first = await startTableServer({ path });
  await first.table.putEntry(sampleEntry());
  await first.close();
  const journal = join(
    path,
    (await readdir(path)).find((name) => name.endsWith('.log'))!,
  );
  const bytes = await readFile(journal);
  await writeFile(journal, bytes.fill(0xa5, bytes.length - 20));

  const second = await startTableServer({ path });

  expect(second.droppedBytes).toBeGreaterThan(0);
  await second.table.putEntry(sampleEntry());
  await second.close();
  const third = await startTableServer({ path });
  expect(third.droppedBytes).toBe(0);
  await third.close();
});

test('two servers do not share a folder', async () => {
  const path = await temporaryFolder();
  const server = await startTableServer({ path });

  await expect(startTableServer({ path })).rejects.toMatchObject({ code: 'state_locked' });

  await server.table.createJob(sampleJob());
  await server.close();
});

test('a folder that takes no writes is said so', async () => {
  await onSmallDisk(async (disk) => {
    spawnSync('mount', ['-o', 'remount,ro', disk]);

    await expect(startTableServer({ path: join(disk, 'table') })).rejects.toMatchObject({
      code: 'permission_denied',
    });
    await expect(startTableServer({ path: disk })).rejects.toMatchObject({
      code: 'permission_denied',
    });
  });
});

test('a full disk is said so', async () => {
  await onSmallDisk(async (disk) => {
    await writeFile(join(disk, 'ballast'), Buffer.alloc(2 << 20)).catch(() => undefined);

    await expect(startTableServer({ path: join(disk, 'table') })).rejects.toMatchObject({
      code: 'disk_full',
    });
  });
});
