import { SampleRun, type DonorParts, type SamplePlan } from '#models/sample-run.ts';
import { sampleBatch, type BatchSample } from '#models/sample-batch.ts';
import type { LatentReader } from '#models/latent-reader.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { latentShape, type OnnxVideoModel } from '#models/onnx-video-model.ts';
import { FlexCacheError } from '#core/errors.ts';
import type { AttendedTensor } from '#core/latents/tensor.ts';
import { cosine } from '#core/cosine.ts';
import { mean } from '#core/statistics/intervals.ts';
import {
  donorRecord,
  storedDonorOf,
  type DonorLatents,
  type StoredDonor,
} from './donor-latents.ts';
import type { PromptCase } from './prompt-sets.ts';
import { packNumbers, unpackNumbers, type WorkFile, type WorkRecord } from './work-file.ts';

/** A video to make and measure. */
export interface VideoJob {
  /** Identifies prompt, plan and donors: the same key is the same video. */
  key: string;
  of: PromptCase;
  plan: SamplePlan;
  /** Null for a full generation. Called when the run begins. */
  donors: (() => DonorParts) | null;
}

/** Measurements of one video. */
export interface VideoOutcome {
  /**
   * Share of the attributes named by the prompt that the judge sees; null without a judge or named
   * attributes.
   */
  adherence: number | null;
  /** Cosine of the prompt and the video. */
  similarity: number;
  /** Unit vector of the video tower. */
  tower: Float32Array;
  /** The judge's features; null without a judge. */
  features: Float32Array | null;
  /** Compute, in network evaluations of all tokens. */
  equivalents: number;
}

export interface VideoMakerOptions {
  /** Maximum videos per network call. */
  batch: number;
  /** Called before each video; true stops the run after the videos in progress. */
  isInterrupted: () => boolean;
  /** Called with the number of network evaluations since the last call. */
  onEvaluations: (count: number) => void;
}

/** Raised when a run is interrupted; finished work is kept. */
export class CalibrationInterruptedError extends FlexCacheError {
  constructor() {
    super('cancelled', 'the calibration was interrupted', {
      fix: 'run the same command again to resume',
    });
    this.name = 'CalibrationInterruptedError';
  }
}

interface Finished {
  job: VideoJob;
  latent: AttendedTensor;
  equivalents: number;
}

/** Makes videos in batches, measures them, and saves the measurements to the work file. */
export class VideoMaker {
  readonly #model: OnnxVideoModel;
  readonly #reader: LatentReader;
  readonly #manifest: ModelManifest;
  readonly #work: WorkFile;
  readonly #latents: DonorLatents;
  readonly #options: VideoMakerOptions;

  constructor(
    parts: {
      model: OnnxVideoModel;
      reader: LatentReader;
      manifest: ModelManifest;
      work: WorkFile;
      latents: DonorLatents;
    },
    options: VideoMakerOptions,
  ) {
    this.#model = parts.model;
    this.#reader = parts.reader;
    this.#manifest = parts.manifest;
    this.#work = parts.work;
    this.#latents = parts.latents;
    this.#options = options;
  }

  /** Returns the measurements of each job's video, in order; makes only missing ones. */
  async measure(jobs: readonly VideoJob[]): Promise<VideoOutcome[]> {
    await this.#make(jobs, (finished) => this.#describe(finished));
    return jobs.map(({ key }) => outcomeOf(this.#work.get(key)!));
  }

  /** Makes donor videos like `measure`, and stores them as the product does. */
  async makeDonors(jobs: readonly VideoJob[]): Promise<StoredDonor[]> {
    await this.#make(jobs, async (finished) => {
      const [records, donors] = await Promise.all([
        this.#describe(finished),
        this.#latents.store(
          finished.map(({ latent }) => latent),
          this.#reader,
        ),
      ]);
      return records.map((record, index) => ({ ...record, ...donorRecord(donors[index]!) }));
    });
    return jobs.map(({ key, of }) => {
      const record = this.#work.get(key)!;
      return storedDonorOf(record, outcomeOf(record), of);
    });
  }

  async #make(
    jobs: readonly VideoJob[],
    describe: (finished: readonly Finished[]) => Promise<WorkRecord[]>,
  ): Promise<void> {
    const missing = new Map(
      jobs.filter(({ key }) => this.#work.get(key) === undefined).map((job) => [job.key, job]),
    );
    // Longer runs first, so that the last batches are full.
    const waiting = [...missing.values()].sort((one, other) => other.plan.steps - one.plan.steps);
    const { batch, isInterrupted, onEvaluations } = this.#options;
    const begun: { job: VideoJob; run: SampleRun }[] = [];
    const latentExtents = latentShape(this.#manifest);
    const schedule = this.#manifest.scheduler;
    const { regions } = this.#model;
    function* samples(): Generator<BatchSample> {
      for (const job of waiting) {
        if (isInterrupted()) return;
        const donors = job.donors?.() ?? null;
        const run = new SampleRun(job.plan, {
          latentShape: latentExtents,
          schedule,
          donors,
          regions,
        });
        begun.push({ job, run });
        yield { run, prompt: job.of.prompt };
      }
    }
    let finished: Finished[] = [];
    let saving: Promise<void> = Promise.resolve();
    const save = async (): Promise<void> => {
      const ready = finished;
      finished = [];
      const before = saving;
      saving = before.then(async () => this.#work.add(await describe(ready)));
      // At most one batch waits for its description.
      await before;
    };
    const saved = sampleBatch(this.#model, samples(), {
      guidance: this.#manifest.scheduler.guidance,
      batch,
      onResult: async (latent, index) => {
        const { job, run } = begun[index]!;
        finished.push({ job, latent, equivalents: run.equivalents });
        onEvaluations(job.plan.steps);
        if (finished.length >= batch) await save();
      },
    });
    await saved.finally(async () => {
      if (finished.length > 0) await save();
      await saving;
    });
    if (isInterrupted()) throw new CalibrationInterruptedError();
  }

  async #describe(finished: readonly Finished[]): Promise<WorkRecord[]> {
    const latents = finished.map(({ latent }) => latent);
    const [towers, judged] = await Promise.all([
      this.#reader.embed(latents),
      this.#reader.hasJudge ? this.#reader.judge(latents) : null,
    ]);
    return finished.map(({ job, equivalents }, index) => {
      const tower = towers[index]!;
      const judgement = judged?.[index];
      return {
        key: job.key,
        adherence: judgement === undefined ? null : adherenceOf(job.of, judgement.values),
        similarity: cosine(job.of.embedding.vectors.whole, Array.from(tower)),
        tower: packNumbers(tower),
        features: judgement === undefined ? null : packNumbers(judgement.features),
        logits: judgement === undefined ? null : packNumbers(judgement.logits),
        equivalents,
      };
    });
  }
}

/** Computes the mean compute of videos, in evaluations of all tokens. */
export function meanEquivalents(videos: readonly VideoOutcome[]): number {
  return mean(videos.map(({ equivalents }) => equivalents));
}

/**
 * Computes the share of the attributes named by the prompt that the judge sees; null if it names
 * none.
 */
function adherenceOf({ asked }: PromptCase, seen: readonly number[]): number | null {
  const named = asked.flatMap((value, index) => (value === null ? [] : [seen[index] === value]));
  return named.length === 0 ? null : named.filter((right) => right).length / named.length;
}

function outcomeOf(record: WorkRecord): VideoOutcome {
  return {
    adherence: record['adherence'] as number | null,
    similarity: record['similarity'] as number,
    tower: unpackNumbers(record['tower']),
    features: record['features'] === null ? null : unpackNumbers(record['features']),
    equivalents: record['equivalents'] as number,
  };
}
