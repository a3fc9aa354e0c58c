import { FlexCacheError } from '#core/errors.ts';

/** What one check of a package found. */
export interface Finding {
  /** What was looked at, such as `file denoiser.onnx`. */
  check: string;
  /** A remark says what a package that is right lacks, and what follows from it. */
  result: 'passed' | 'failed' | 'skipped' | 'remark';
  detail: string;
  /** Of a check that failed. */
  error: FlexCacheError | null;
}

export function passed(check: string, detail: string): Finding {
  return { check, result: 'passed', detail, error: null };
}

export function remark(check: string, detail: string): Finding {
  return { check, result: 'remark', detail, error: null };
}

export function skipped(check: string, because: string): Finding {
  return { check, result: 'skipped', detail: because, error: null };
}

/** @param fix what to do, where the error itself does not say */
export function failed(check: string, error: unknown, fix?: string): Finding {
  const reported = asFlexCacheError(error, fix);
  return { check, result: 'failed', detail: reported.message, error: reported };
}

/** Passed with what the work says that it found, or failed with what it threw. */
export async function attempt(
  check: string,
  work: () => Promise<string>,
  fix?: string,
): Promise<Finding> {
  try {
    return passed(check, await work());
  } catch (error) {
    return failed(check, error, fix);
  }
}

function asFlexCacheError(error: unknown, fix: string | undefined): FlexCacheError {
  const isOwn = error instanceof FlexCacheError;
  if (isOwn && (error.fix !== undefined || fix === undefined)) return error;
  return new FlexCacheError(
    isOwn ? error.code : 'internal',
    error instanceof Error ? error.message : String(error),
    {
      ...(isOwn && error.field !== undefined && { field: error.field }),
      ...(fix !== undefined && { fix }),
      cause: error,
    },
  );
}
