import { parseArgs } from 'node:util';
import { askedValues } from '#cli/calibrate/asked-values.ts';
import { loadManifest } from '#models/manifest.ts';
import { benchRequests } from './requests.ts';

/**
 * Prints what the requests of a trace ask for, attribute by attribute, exact repeats left out: what the real clips of
 * docs/evaluation/real-clips.f16 show.
 *
 *     node bench/table/asked.ts [--requests 2000] [--seed 1] [--model DIR]
 */
const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    model: { type: 'string', default: 'containers/demo-model/package' },
  },
});

const requests = benchRequests({ requests: Number(values.requests), seed: Number(values.seed) });
const { manifest } = await loadManifest(values.model, { files: [] });
const attributes = manifest.judge?.attributes ?? [];
const asked = requests.flatMap(({ prompt, isExact }) => {
  if (isExact) return [];
  const wanted = askedValues(attributes, prompt);
  const named = attributes.flatMap(({ name }, index) =>
    wanted[index] === null ? [] : [[name, wanted[index]] as const],
  );
  return [Object.fromEntries(named)];
});
console.log(JSON.stringify(asked));
