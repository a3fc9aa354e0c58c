import { openRetention } from '#local/open-retention.ts';

/** Weighs the cache of a state folder; says so when it begins. */
const [stateDirectory] = process.argv.slice(2) as [string];
await using retention = await openRetention({ stateDirectory, dimensions: 4 });
process.stdout.write('begun\n');
await retention.evict({ isForced: true });
