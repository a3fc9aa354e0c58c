import { performance } from 'node:perf_hooks';
import { VectorSet } from '#local/vector-set.ts';

/**
 * Prints how long one query of the embedded vector index takes, comparing every vector and with the
 * sign filter, and how often the filter's best match is the true one. Vectors are random directions
 * around shared topics; half of the queries are near a stored vector and half near a topic only.
 *
 * Run: node bench/vectors.ts
 */
const DIMENSIONS = 128;
const SIZES = [1_000, 10_000, 100_000];
const QUERIES = 100;
const WARM_UP_QUERIES = 20;
const TOP_K = 10;
const VECTORS_PER_TOPIC = 200;
const SEED = 1;

console.log(`query milliseconds, ${DIMENSIONS} dimensions, top ${TOP_K}, Node ${process.version}`);
console.log('vectors   every: p50    p99   filter: p50    p99   same best   recall@10');
for (const size of SIZES) {
  const random = gaussian(SEED);
  const vectorNear = (centre: Float32Array, spread: number) =>
    centre.map((value) => value + spread * random());
  const topics = Array.from({ length: Math.ceil(size / VECTORS_PER_TOPIC) }, () =>
    vectorNear(new Float32Array(DIMENSIONS), 1),
  );
  const vectors = Array.from({ length: size }, (_, index) =>
    vectorNear(topics[index % topics.length]!, 0.7),
  );
  const set = new VectorSet(DIMENSIONS);
  for (const [index, vector] of vectors.entries()) set.set(`entry-${index}`, vector);
  const queries = Array.from({ length: QUERIES }, (_, index) =>
    index % 2
      ? vectorNear(vectors[(index * 7919) % size]!, 0.3)
      : vectorNear(topics[index % topics.length]!, 0.7),
  );

  const every = measure(queries, (query) => set.query(query, TOP_K, Infinity));
  const filtered = measure(queries, (query) => set.query(query, TOP_K, 0));

  const pairs = every.answers.map((answer, index) => [answer, filtered.answers[index]!] as const);
  const sameBest = pairs.filter(([all, some]) => all[0]!.entryId === some[0]!.entryId).length;
  const found = pairs.flatMap(([all, some]) => {
    const ids = new Set(some.map(({ entryId }) => entryId));
    return all.map(({ entryId }) => ids.has(entryId));
  });
  const recall = found.filter(Boolean).length / found.length;
  const times = [every.p50, every.p99, filtered.p50, filtered.p99].map((ms) => ms.toFixed(2));
  console.log(
    `${String(size).padStart(7)}   ${times[0]!.padStart(10)} ${times[1]!.padStart(6)}   ` +
      `${times[2]!.padStart(11)} ${times[3]!.padStart(6)}   ` +
      `${((100 * sameBest) / QUERIES).toFixed(0).padStart(8)}%   ${recall.toFixed(3)}`,
  );
}

function measure<Answer>(queries: Float32Array[], run: (query: Float32Array) => Answer) {
  for (const query of queries.slice(0, WARM_UP_QUERIES)) run(query);
  const answers: Answer[] = [];
  const milliseconds = queries.map((query) => {
    const start = performance.now();
    answers.push(run(query));
    return performance.now() - start;
  });
  milliseconds.sort((one, other) => one - other);
  const quantile = (share: number) => milliseconds[Math.ceil(share * milliseconds.length) - 1]!;
  return { answers, p50: quantile(0.5), p99: quantile(0.99) };
}

/** Normal deviates (Box-Muller) of a linear congruential generator: the same in every run. */
function gaussian(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / (2 ** 32 + 1);
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
