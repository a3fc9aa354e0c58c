import { appendFileSync } from 'node:fs';
import { FlexCacheError } from '#core/errors.ts';
import { openStateFolder } from '#local/state-folder.ts';

/** Holds the folder until it is killed; or, given a log, goes in and out for a while and writes that down. */
const [directory, log] = process.argv.slice(2);
if (log === undefined) {
  await openStateFolder(directory!);
  process.stdout.write('held\n');
  setInterval(() => undefined, 1000);
} else {
  for (let visits = 0; visits < 20;) {
    try {
      const state = await openStateFolder(directory!);
      appendFileSync(log, `${process.pid} enters\n`);
      await new Promise((resolve) => setTimeout(resolve, 2));
      appendFileSync(log, `${process.pid} leaves\n`);
      await state.release();
      visits += 1;
    } catch (error) {
      if (!(error instanceof FlexCacheError) || error.code !== 'state_locked') throw error;
    }
  }
}
