import { TASK_TIMEOUTS } from '#core/requests/task-timeouts.ts';
import {
  EVICTION_GRACE_MILLISECONDS,
  ORPHAN_AGE_MILLISECONDS,
  TOMBSTONE_MILLISECONDS,
} from '#core/retention/retention.ts';
import { finishEvictions } from '#retention/finish-evictions.ts';
import { sweep } from '#retention/sweep/sweep.ts';
import { onClock } from './model-clock.ts';
import type { Scenario } from './scenario.ts';
import type { Simulation } from './simulation.ts';
import { Violation } from './watch.ts';
import type { World } from './world.ts';

/** What every clock differs by at most, twice. */
const MARGIN = 3 * 60_000;

/**
 * What happens when nobody does anything any more: jobs that nobody works on fail, leases lapse, what
 * leaves is let go and what is lost is swept away. Then everything is named by somebody.
 *
 * @throws Violation
 */
export async function sweepUp(simulation: Simulation, scenario: Scenario): Promise<void> {
  const { world } = simulation;
  world.skew = 0;
  await onClock(world.clock, async () => {
    const { stores } = world;
    for (const job of world.jobs) {
      if (!['queued', 'running'].includes(job['status']!.S!)) continue;
      const reason = { code: 'timeout', message: 'the execution timed out' };
      await stores.table.failJob(job['videoId']!.S!, reason, false);
    }
    world.now += TASK_TIMEOUTS.backfill.totalSeconds * 1000 + ORPHAN_AGE_MILLISECONDS;
    await sweep(stores);
    for (const time of [0, EVICTION_GRACE_MILLISECONDS, TOMBSTONE_MILLISECONDS]) {
      world.now += time + MARGIN;
      await finishEvictions(stores);
    }
    world.now += ORPHAN_AGE_MILLISECONDS;
    await sweep(stores);
  });
  simulation.schedule.push(`${' '.repeat(10)}… everything has ended and was swept`);
  lookForLeaks(world);
  scenario.atEnd?.(world);
}

function lookForLeaks(world: World): void {
  const { entries } = world;
  const named = new Set<string>();
  for (const { entryId, state, latentKey, latentSha256, videoKey } of entries) {
    if (state !== 'READY') throw new Violation(`${entryId} is ${state} for ever`);
    const head = world.objects.heads(latentKey)[0];
    if (head?.sha256 !== latentSha256)
      throw new Violation(`${entryId} has no latent after a sweep`);
    named.add(latentKey).add(videoKey);
  }
  for (const job of world.jobs) {
    if (job['deletedAt'] === undefined) named.add(job['result']?.M?.['videoKey']?.S ?? '');
  }
  for (const { key } of world.objects.heads()) {
    if (!named.has(key)) throw new Violation(`nobody names ${key}, and no sweep takes it`);
  }
  const indexed = world.vectors.entryIds.join();
  const ready = entries.map(({ entryId }) => entryId).join();
  if (indexed !== ready) throw new Violation(`vectors of ${indexed} where ${ready} are READY`);
}
