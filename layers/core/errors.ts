/** Codes a caller may branch on; they are part of the public contract of `--json` and the API. */
export type ErrorCode =
  | 'invalid_input'
  | 'prompt_empty'
  | 'prompt_too_long'
  | 'prompt_without_words'
  | 'model_corrupt'
  | 'model_missing'
  | 'latent_corrupt'
  | 'latent_foreign'
  | 'object_missing'
  | 'object_exists'
  | 'object_corrupt'
  | 'condition_failed'
  | 'state_locked'
  | 'state_corrupt'
  | 'disk_full'
  | 'permission_denied'
  | 'cancelled'
  | 'not_found'
  | 'gpu_missing'
  | 'install_failed'
  | 'workflow_failed'
  | 'throttled'
  | 'budget_exceeded'
  | 'internal';

export interface FlexCacheErrorOptions extends ErrorOptions {
  /** The field or parameter that was wrong, when there is one. */
  field?: string;
  /** What the user should do about it. */
  fix?: string;
  /** Whether the same call may succeed later without any change. */
  transient?: boolean;
}

/**
 * Base of every error that FlexCache raises on purpose.
 *
 * The message says what was wrong and what was expected; `fix` says what to do.
 */
export class FlexCacheError extends Error {
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly fix: string | undefined;
  readonly transient: boolean;

  constructor(code: ErrorCode, message: string, options: FlexCacheErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FlexCacheError';
    this.code = code;
    this.field = options.field;
    this.fix = options.fix;
    this.transient = options.transient ?? false;
  }
}

/** An error in one sentence, for where only text is carried. */
export function messageWithFix({ message, fix }: FlexCacheError): string {
  return fix === undefined ? message : `${message}: ${fix}`;
}

/** A field's name in requests and files: `minSimilarity` is `min_similarity`; the first image has that of the dialect. */
export function fieldOnTheWire(field: string): string {
  if (field === 'image') return 'input_reference';
  return field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A request that can never succeed as it stands; names the field and the fix. */
export class InvalidInputError extends FlexCacheError {
  constructor(field: string, message: string, fix: string, code: ErrorCode = 'invalid_input') {
    super(code, message, { field, fix });
    this.name = 'InvalidInputError';
  }
}

/** A stored latent that is torn, truncated, altered or not ours. Look-ups treat it as a miss. */
export class LatentFormatError extends FlexCacheError {
  constructor(code: 'latent_corrupt' | 'latent_foreign', message: string, options?: ErrorOptions) {
    super(code, message, { ...options, fix: 'the entry is unusable and is treated as a miss' });
    this.name = 'LatentFormatError';
  }
}

/** An object that is not in the store. */
export class ObjectMissingError extends FlexCacheError {
  constructor(key: string, options?: ErrorOptions) {
    super('object_missing', `object ${key} is not in the store`, { ...options });
    this.name = 'ObjectMissingError';
  }
}

/** A conditional write that lost: somebody else wrote first or the record is not in the expected state. */
export class ConditionFailedError extends FlexCacheError {
  constructor(message: string, options?: ErrorOptions) {
    super('condition_failed', message, { ...options });
    this.name = 'ConditionFailedError';
  }
}
