import { openRetention } from '#local/open-retention.ts';

/** Runs an eviction pass on a state folder; prints when it begins. */
const [stateDirectory] = process.argv.slice(2) as [string];
await using retention = await openRetention({ stateDirectory, dimensions: 4 });
process.stdout.write('begun\n');
await retention.evict({ isForced: true });
