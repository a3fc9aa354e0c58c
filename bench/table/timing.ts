import { decodeLatent } from '#codec/decode-latent.ts';
import { standardNormalNoise } from '#core/latents/noise.ts';
import { quantileOf } from '#core/statistics/intervals.ts';
import { finishLatent } from '#denoiser/finish-latent.ts';
import type { ExecutionProvider } from '#models/execution-provider.ts';
import type { ModelPackage } from '#models/manifest.ts';
import { sample } from '#models/sampler.ts';
import { latentShape, OnnxVideoModel } from '#models/onnx-video-model.ts';
import { describeMachine } from './settings.ts';

const COMPATIBILITY_KEY = 'bench';
const PROMPT = 'a red ball rolling over a green meadow';
/** Two layers: as many as a start from t0 .3 on reads, and more than one from .6 on. */
const DONOR_READING = { layers: 2, noiseSeed: 1 };
/** Of a donor for each video: their median is of code that has run before. */
const READS = 8;

/** In the folder of the results: timings of all machines. */
export const TIMING_FILE = 'timing.json';

/** Seconds of one worker that makes one video at a time, medians. */
export interface Timing {
  machine: string;
  provider: ExecutionProvider;
  /** One guided evaluation with its step. */
  evaluation: number;
  /** Of every video that is made. */
  fixed: number;
  /** Of the fixed seconds: states of a new prompt; decoding, media files and what an entry says of a latent. */
  parts: { text: number; finish: number };
  /** Reading a donor. */
  donor: number;
}

/**
 * Where nothing was timed. The first: undisturbed on two cores (docs/media.md, docs/codec.md). The second: through CUDA on an H200, an
 * evaluation and, for the rest, the networks without media files, which were not timed on that machine.
 */
export const ASSUMED_TIMINGS: readonly Timing[] = [
  {
    machine: 'two cores',
    provider: 'cpu',
    evaluation: 0.104,
    fixed: 0.61,
    parts: { text: 0, finish: 0.61 },
    donor: 0.0092,
  },
  {
    machine: 'NVIDIA H200, without media files',
    provider: 'cuda',
    evaluation: 0.0063,
    fixed: 0.0094,
    parts: { text: 0, finish: 0.0094 },
    donor: 0.0092,
  },
];

/** Measures a worker on this machine; run it alone. */
export async function measureTiming(
  modelPackage: ModelPackage,
  provider: ExecutionProvider,
  repeats: number,
): Promise<Timing> {
  const { manifest } = modelPackage;
  const model = await OnnxVideoModel.open(modelPackage, { executionProvider: provider });
  try {
    await model.warmUp();
    const noise = standardNormalNoise(latentShape(manifest), 1, 'start');
    const { guidance, solver, steps } = manifest.scheduler;
    // Noise would take more to code than any video.
    const latent = await sample(
      model,
      { startTime: 1, steps, solver, anchor: 'none', seed: 1 },
      null,
      { latentShape: latentShape(manifest), prompt: PROMPT, guidance },
    );
    const finishing = { model, manifest, compatibilityKey: COMPATIBILITY_KEY };
    const unconditional = await model.encodeText(null);
    const text: number[] = [];
    const evaluation: number[] = [];
    const finish: number[] = [];
    const donor: number[] = [];
    await finishLatent(finishing, latent, true);
    for (let round = 0; round < repeats; round++) {
      const condition = await timed(text, () => model.encodeText(`${PROMPT}, take ${round}`));
      for (let step = 0; step < 4; step++) {
        await timed(evaluation, () =>
          model.velocity(noise, 1 - step / 5, condition, unconditional, guidance),
        );
      }
      const { stored } = await timed(finish, () => finishLatent(finishing, latent, true));
      const { container } = stored!;
      const expected = { compatibilityKey: COMPATIBILITY_KEY };
      for (let read = 0; read < READS; read++) {
        await timed(donor, async () => decodeLatent(container, expected, DONOR_READING));
      }
    }
    const parts = { text: median(text), finish: median(finish) };
    return {
      machine: describeMachine(),
      provider,
      evaluation: median(evaluation),
      fixed: parts.text + parts.finish,
      parts,
      donor: median(donor),
    };
  } finally {
    await model.close();
  }
}

async function timed<Value>(into: number[], work: () => Promise<Value>): Promise<Value> {
  const start = performance.now();
  const value = await work();
  into.push((performance.now() - start) / 1000);
  return value;
}

function median(values: readonly number[]): number {
  return quantileOf(
    [...values].sort((one, other) => one - other),
    0.5,
  );
}
