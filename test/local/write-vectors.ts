import { ExactVectorIndex } from '#local/exact-vector-index.ts';

/** Puts vectors, and says so after each, until it is killed. */
const index = await ExactVectorIndex.open(process.argv[2]!, { leastBytesToCompact: 3000 });
for (let count = 0; ; count++) {
  const entryId = `e${count}`;
  const vector = Array.from({ length: 16 }, (_, element) => 1 + element * count);
  await index.put([
    { compatibilityKey: 'c', tenant: 't', scope: 'tenant', part: 'whole', entryId, vector },
  ]);
  await index.put([
    {
      compatibilityKey: 'c',
      tenant: 't',
      scope: 'tenant',
      part: 'whole',
      entryId: 'again',
      vector,
    },
  ]);
  process.stdout.write(`${entryId}.\n`);
}
