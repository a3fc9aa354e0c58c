import type { PromptEmbedding } from '#core/generation.ts';
import type { ModelManifest } from '#models/manifest.ts';
import { latentShape } from '#models/onnx-video-model.ts';
import { sampleBatch, type BatchDenoiser } from '#models/sample-batch.ts';
import type { Judgement, LatentNetworks } from './networks.ts';
import type { PromptEmbeddings } from './prompts.ts';
import { RecordingRun } from './recording-run.ts';
import type { BenchRequest } from './requests.ts';
import { turnsOf } from './turns.ts';
import type { Decision, FullGeneration, MadeVideo, System } from './system.ts';

export interface ReplayOptions {
  manifest: ModelManifest;
  model: BatchDenoiser;
  networks: Pick<LatentNetworks, 'judge'>;
  embeddings: PromptEmbeddings;
  full: FullGeneration;
  /** Most requests that are worked on at once. */
  batch: number;
  onVideo?(video: MadeVideo): void;
  onTurn?(done: number): void;
}

/** What became of a request. */
export type Outcome =
  | { request: BenchRequest; hit: 'exact'; original: BenchRequest }
  | { request: BenchRequest; hit: Exclude<MadeVideo['decision']['hit'], 'exact'>; video: Judged };

/** Of a video, what figures are made from. */
export interface Judged {
  evaluations: number;
  equivalents: number;
  judged: Judgement;
}

/**
 * Replays requests through a system and really denoises what it decides. Requests take turns of up to `batch` at once
 * (`turnsOf`); a system sees what was finished in earlier turns. A request that was made before is answered by the
 * same video, whatever the system.
 *
 * @returns in the order of the requests
 */
export async function replay(
  system: System,
  requests: readonly BenchRequest[],
  options: ReplayOptions,
): Promise<Outcome[]> {
  const { embeddings, networks, full, onVideo, onTurn } = options;
  const originals = new Map<string, BenchRequest>();
  const outcomes: Outcome[] = [];
  let done = 0;
  for (const turn of turnsOf(requests, options.batch)) {
    const decided: { request: BenchRequest; decision: Decision }[] = [];
    for (const request of turn) {
      const key = `${request.seed} ${request.prompt}`;
      if (request.isExact) {
        outcomes[request.index] = {
          request,
          hit: 'exact',
          original: originals.get(key) ?? request,
        };
        continue;
      }
      originals.set(key, request);
      decided.push({
        request,
        decision: await system.decide(request, embeddingOf(embeddings, request)),
      });
    }
    const made = await denoise(decided, system, full, options);
    const judged = await networks.judge(made.map(({ latent }) => latent));
    const videos = made.map((video, index) => ({ ...video, judged: judged[index]! }));
    await system.store(videos);
    for (const video of videos) {
      const { request, decision, evaluations, equivalents } = video;
      outcomes[request.index] = {
        request,
        hit: decision.hit as Exclude<Decision['hit'], 'exact'>,
        video: { evaluations, equivalents, judged: video.judged },
      };
      onVideo?.(video);
    }
    done += turn.length;
    onTurn?.(done);
  }
  return outcomes;
}

function embeddingOf(embeddings: PromptEmbeddings, { prompt }: BenchRequest): PromptEmbedding {
  const embedding = embeddings.get(prompt);
  if (embedding === undefined) throw new Error(`no vectors of "${prompt}"`);
  return embedding;
}

async function denoise(
  decided: readonly { request: BenchRequest; decision: Decision }[],
  system: System,
  full: FullGeneration,
  { manifest, model, batch }: ReplayOptions,
): Promise<Omit<MadeVideo, 'judged'>[]> {
  if (decided.length === 0) return [];
  const shape = latentShape(manifest);
  const runs = decided.map(
    ({ decision }) =>
      new RecordingRun(
        decision.work,
        shape,
        model.regions,
        system.recordedSteps(decision),
        full.steps - decision.work.plan.steps,
      ),
  );
  const samples = runs.map((run, index) => ({ run, prompt: decided[index]!.request.prompt }));
  const { guidance } = manifest.scheduler;
  const latents = await sampleBatch(model, samples, { guidance, batch });
  return decided.map(({ request, decision }, index) => ({
    request,
    decision,
    latent: latents[index]!,
    states: runs[index]!.states,
    evaluations: runs[index]!.stepsDone,
    equivalents: runs[index]!.equivalents,
  }));
}
