import { openEmbeddedCloud } from '#local/embedded-cloud.ts';

/** Holds an embedded cloud open until a signal ends this process; says so once it is open. */
const [stateDirectory, modelDirectory] = process.argv.slice(2) as [string, string];
await openEmbeddedCloud({ stateDirectory, modelDirectory });
process.stdout.write('open\n');
