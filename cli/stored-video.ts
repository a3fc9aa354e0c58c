import { FlexCacheError } from '#core/errors.ts';
import type { Job, JobResult } from '#core/generation.ts';
import type { EmbeddedCloud, GenerateInput, Progress } from '#local/embedded-cloud.ts';
import type { TextOutput } from './context.ts';
import { errorLine, errorReport } from './error-line.ts';

export interface StoredVideo {
  job: Job;
  result: JobResult;
  mp4: Uint8Array;
}

export function isCompleted(job: Job): job is Job & { result: JobResult } {
  return job.status === 'completed' && job.result !== undefined;
}

const DAMAGED: readonly string[] = ['object_missing', 'object_corrupt'];

/**
 * Reads the video of a finished job. One that is gone or damaged is said so and made again, as a job
 * of its own; null when that job fails, which `job` then says.
 */
export async function readOrRemake(
  cloud: EmbeddedCloud,
  job: Job & { result: JobResult },
  input: GenerateInput,
  stderr: TextOutput,
  onProgress?: (progress: Progress) => void,
): Promise<StoredVideo | { job: Job; mp4: null }> {
  try {
    return { job, result: job.result, mp4: await cloud.objects.get(job.result.videoKey) };
  } catch (error) {
    if (!(error instanceof FlexCacheError) || !DAMAGED.includes(error.code)) throw error;
    stderr.write(errorLine({ ...errorReport(error), fix: 'it is made again' }));
  }
  const key = input.idempotencyKey;
  const again = await cloud.generate(
    {
      ...input,
      seed: job.seed,
      cache: job.cache === 'readonly' || job.cache === 'off' ? 'off' : 'refresh',
      ...(key !== undefined && { idempotencyKey: `${key}-again` }),
    },
    onProgress,
  );
  const { result } = again;
  if (again.status !== 'completed' || result === undefined) return { job: again, mp4: null };
  return { job: again, result, mp4: await cloud.objects.get(result.videoKey) };
}
