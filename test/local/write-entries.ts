import { startTableServer } from '#local/table-server.ts';
import { sampleEntry } from '../aws/samples.ts';

/** Puts entries, and says so after each, until it is killed. */
const { table } = await startTableServer({ path: process.argv[2]! });
for (let count = 0; ; count++) {
  await table.putEntry(sampleEntry({ entryId: `e${count}` }));
  process.stdout.write(`e${count}.\n`);
}
