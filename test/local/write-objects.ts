import { FileObjectStore } from '#local/file-object-store.ts';

/** Puts objects until it is killed. */
const [folder, round] = process.argv.slice(2);
const store = await FileObjectStore.open(folder!);
for (let index = 0; ; index++) {
  await Promise.all([
    store.put(`round-${round}/new-${index}`, Buffer.alloc(200_000, index), { ifNoneMatch: true }),
    store.put('overwritten', Buffer.alloc(100_000 + index, index)),
  ]);
  if (index === 0) process.stdout.write('writing\n');
}
