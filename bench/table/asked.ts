import { parseArgs } from 'node:util';
import { benchRequests } from './requests.ts';

/**
 * Prints what the requests of a trace ask for, attribute by attribute, exact repeats left out: what the real clips of
 * docs/evaluation/real-clips.f16 show.
 *
 *     node bench/table/asked.ts [--requests 2000] [--seed 1]
 */
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
  },
});

const requests = benchRequests({ requests: Number(values.requests), seed: Number(values.seed) });
console.log(JSON.stringify(requests.flatMap(({ asked, isExact }) => (isExact ? [] : [asked]))));
