import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { embedTrace } from '#cli/simulate/embed-trace.ts';
import { openTrace } from '#cli/simulate/open-trace.ts';
import { parseCapacities, parseCapacity } from '#cli/simulate/parse-lists.ts';
import {
  openPackageVectors,
  openSentenceVectors,
  type PromptVectors,
} from '#cli/simulate/prompt-vectors.ts';
import { countDistinct, runSimulation, type NamedResult } from '#cli/simulate/run-simulation.ts';
import { shuffled } from '#cli/simulate/shuffle.ts';
import { parseVideoProfile } from '#cli/simulate/video-profile.ts';
import { POLICY_NAMES, type PolicyName } from '#simulation/types.ts';
import { generateTrace } from '#simulation/traces/generate-trace.ts';
import { SYNTHETIC_DEFAULTS } from '#simulation/traces/synthetic-parameters.ts';
import type { TraceRequest } from '#simulation/traces/trace-request.ts';

/**
 * Prints the tables of docs/policy.md: what each policy would have cost, in dollars, on a synthetic
 * trace of the demo world and on a file of prompts in their order, at three capacities and without a
 * limit, on object storage alone and with a small fast tier.
 *
 * Run: node bench/policy-table.ts [--requests 50000] [--seeds 1,2] [--embeddings FILE]
 *        [--prompts FILE.txt --embedder DIR] [--model DIR] [--shuffled]
 *        [--policies rent,gdsf]
 *
 * Embedding the synthetic prompts takes minutes; --embeddings keeps the vectors for the next time.
 * A policy's dollars do not depend on the others: --policies replays what has changed alone.
 */
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '50000' },
    seeds: { type: 'string', default: '1,2' },
    embeddings: { type: 'string' },
    prompts: { type: 'string' },
    embedder: { type: 'string' },
    model: { type: 'string', default: 'containers/demo-model/package' },
    policies: { type: 'string', default: POLICY_NAMES.join(',') },
    shuffled: { type: 'boolean', default: false },
  },
});

const chosen = new Set(values.policies.split(','));

/** Of the distinct requests. */
const CAPACITIES = '0.5%,2%,8%,unlimited';
const FAST_TIER = '0.5%';
const PROFILE = parseVideoProfile('480p-1.3b');

/** What a file of prompts is taken to come at; it says no times. */
const ASSUMED_TIMES = { requestsPerDay: 1018, start: '2026-01-01T00:00:00Z' };

const scratch = await mkdtemp(join(tmpdir(), 'policy-table-'));

const demo = await openPackageVectors(values.model);
for (const seed of values.seeds.split(',').map(Number)) {
  const requests = generateTrace({
    ...SYNTHETIC_DEFAULTS,
    requests: Number(values.requests),
    seed,
  });
  const title = `Synthetic demo-world trace, ${requests.length} requests, seed ${seed}`;
  await printTable(title, requests, demo, values.embeddings ?? join(scratch, 'demo.embeddings'));
}
await demo.close();

if (values.prompts !== undefined && values.embedder !== undefined) {
  const { requests } = await openTrace(values.prompts, ASSUMED_TIMES);
  const encoder = await openSentenceVectors(values.embedder);
  const title = `${values.prompts.split('/').at(-1)}, ${requests.length} prompts in order, ${encoder.name}`;
  await printTable(title, requests, encoder, join(scratch, 'prompts.embeddings'));
  await encoder.close();
}

async function printTable(
  title: string,
  requests: readonly TraceRequest[],
  embedder: PromptVectors,
  file: string,
): Promise<void> {
  const inOrder = await embedTrace(requests, embedder, {
    file,
    onProgress: (done, all) => {
      if (done % 1600 === 0) console.error(`embedded ${done} of ${all}`);
    },
    isInterrupted: () => false,
  });
  const trace = values.shuffled ? shuffled(inOrder!, 1) : inOrder!;
  const distinct = countDistinct(trace);
  const { results, control } = await runSimulation(trace, embedder, {
    policies: POLICY_NAMES.filter((name) => name === 'none' || chosen.has(name)),
    capacities: parseCapacities(CAPACITIES, distinct),
    tiers: ['object', 'fast'],
    fastTierBytes: parseCapacity(FAST_TIER, distinct).capacity.entries! * PROFILE.latentBytes,
    profile: PROFILE,
    region: 'us-east-1',
    measured: new Map(),
    scope: 'shared',
    storageClass: 'INTELLIGENT_TIERING',
    seed: 1,
    isShuffled: false,
  });
  const none = results.find(({ policy }) => policy === 'none')!.result;
  console.log(`\n**${title}${values.shuffled ? ', shuffled' : ''}.** ${embedder.rules}.`);
  console.log(
    `Without a cache: $${none.dollars.total.toFixed(2)}. Under LRU at ${control.capacity} the first pass skips ${percent(control.inOrder.semanticSkippedShare)} of the evaluations in order and ${percent(control.shuffled.semanticSkippedShare)} shuffled.\n`,
  );
  printTotals(results);
  printDetails(results);
}

type Tier = NamedResult['tier'];

/** Total dollars: a row for each capacity and tier, a column for each policy that has one. */
function printTotals(results: readonly NamedResult[]): void {
  const columns: PolicyName[] = ['rent', 'gdsf', 'lcbfu', 'lfu', 'lru', 'fifo', 'all'];
  const names = columns.map((policy) => (policy === 'all' ? 'keep all' : policy));
  console.log(`| capacity | tier | ${names.join(' | ')} | rent to best | rent to LCBFU |`);
  console.log(`| --- | --- | ${names.map(() => '--:').join(' | ')} | --: | --: |`);
  const cells = new Map<string, { capacity: string; tier: Tier }>();
  for (const { policy, capacity, tier } of results) {
    if (policy === 'rent') cells.set(`${capacity} ${tier}`, { capacity, tier });
  }
  for (const { capacity, tier } of cells.values()) {
    const totalOf = (policy: PolicyName): number | null =>
      results.find(
        (row) =>
          row.policy === policy &&
          row.tier === tier &&
          (row.capacity === capacity || policy === 'all'),
      )?.result.dollars.total ?? null;
    // Whatever keeps everything is no policy for a limited cache; it is what the others are limited against.
    const rivals = columns.filter((policy) => policy !== 'all' || capacity === 'unlimited');
    const best = Math.min(...rivals.map((policy) => totalOf(policy) ?? Infinity));
    const shown = columns.map((policy) => {
      const total = totalOf(policy);
      if (total === null) return '';
      return total === best ? `**${total.toFixed(2)}**` : total.toFixed(2);
    });
    const rent = totalOf('rent')!;
    const lcbfu = totalOf('lcbfu');
    console.log(
      `| ${capacity} | ${tier} | ${shown.join(' | ')} | ${difference(rent, best)} | ${lcbfu === null ? '' : difference(rent, lcbfu)} |`,
    );
  }
  console.log('');
}

/** What the dollars are for, of the rent policy and its rivals on object storage. */
function printDetails(results: readonly NamedResult[]): void {
  console.log(
    '| capacity | policy | GPU $ | storage $ | requests $ | skipped | first pass | misses | most entries |',
  );
  console.log('| --- | --- | --: | --: | --: | --: | --: | --: | --: |');
  for (const { capacity, tier, policy, result } of results) {
    if (tier !== 'object') continue;
    const { gpu, storage, requests } = result.dollars;
    console.log(
      `| ${capacity} | ${policy} | ${gpu.toFixed(2)} | ${storage.toFixed(4)} | ${requests.toFixed(2)} | ${percent(result.skippedShare)} | ${percent(result.semanticSkippedShare)} | ${percent(result.hits.miss / result.requests)} | ${result.entries.most} |`,
    );
  }
}

function difference(amount: number, against: number): string {
  const share = 100 * (amount / against - 1);
  return `${share > 0 ? '+' : ''}${share.toFixed(1)} %`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
