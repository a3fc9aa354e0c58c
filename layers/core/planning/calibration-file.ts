import { z } from 'zod';
import { FlexCacheError } from '../errors.ts';
import { ANCHORS, isRegional } from '../generation.ts';

/** The version of `calibration.json`. */
export const CALIBRATION_FORMAT = 'flexcache-calibration/1';

/**
 * File beside `model.json`. It is not part of the package, so a new calibration keeps the model
 * revision.
 */
export const CALIBRATION_FILE = 'calibration.json';

/** Kinds of hits that are measured. The others need no network. */
export const MEASURED_KINDS = [
  'whole',
  'near',
  'object+background',
  'object',
  'background',
  /** A background whose own object is where the requested one goes. */
  'placed',
] as const;

const count = z.int().positive();
const cosine = z.number().min(-1).max(1);
const share = z.number().gt(0).lt(1);
const solver = z.enum(['euler', 'ab2', 'dpmpp-2m']);
const anchor = z.enum(ANCHORS);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits');

/** A mean and its 95 % confidence interval. */
const estimate = z
  .strictObject({ mean: z.number(), low: z.number(), high: z.number() })
  .refine(({ mean, low, high }) => low <= mean && mean <= high, {
    error: 'expected low <= mean <= high',
  });

/**
 * Losses of a plan relative to full generations of the same prompts; positive is worse, 0.01 is 1
 * %. `adherence`: share of the attributes named by prompts that the judge sees; null without a
 * judge. `similarity`: cosine of the prompt and its video. `frechet`: growth of the Frechet
 * distance to reference videos, in tenths of their variance, in the video tower's vectors.
 * `frechetJudge`: the same in the judge's features, if any.
 */
const loss = z.strictObject({
  adherence: estimate.nullable(),
  similarity: estimate.optional(),
  frechet: estimate,
  frechetJudge: estimate.optional(),
});

const startPoint = {
  kind: z.enum(MEASURED_KINDS),
  /** Minimum cosine of the request and its donor; for two donors, of the less similar one. */
  similarity: cosine,
  /** 1 only if the donor provides nothing but the place of the object. */
  startTime: share.or(z.literal(1)),
  /** Network evaluations, relative to `full.steps` of a full generation. */
  steps: count,
  solver,
  anchor,
  /** Expected compute, in full network evaluations. */
  equivalents: z.number().positive(),
  loss,
  /** Number of videos that it was measured on. */
  samples: count,
};

const thresholds = z.strictObject({ whole: cosine, object: cosine, background: cosine });

const plan = z.strictObject(startPoint);

/** A measured cell, chosen or not. */
const cell = z.strictObject({
  ...startPoint,
  isChosen: z.boolean().optional(),
  /** Why it was dropped or not chosen. */
  reason: z.string().optional(),
  diversity: z.number().optional(),
});

const quality = z.strictObject({
  /** Null without a judge. */
  adherence: z.number().nullable(),
  similarity: z.number().optional(),
  frechet: z.number().optional(),
  diversity: z.number().optional(),
});

const fullGeneration = z.strictObject({ solver, steps: count, ...quality.shape });

const calibrationSchema = z
  .strictObject({
    format: z.literal(CALIBRATION_FORMAT),
    /** Revision of the measured package. */
    modelRevision: sha256,
    createdAt: z.iso.datetime(),
    machine: z.string().min(1),
    /** Execution provider of the networks. */
    provider: z.string().min(1),
    seed: z.int().nonnegative(),
    /** Maximum videos per cell. */
    samples: count,
    /** Maximum loss of a plan relative to `full`, with 95 % confidence. */
    objective: z.strictObject({ adherence: z.number().positive(), frechet: z.number().positive() }),
    /** Share of the donors admitted by `thresholds` that show what was asked. */
    precision: share.or(z.literal(1)),
    full: fullGeneration,
    /** The generation that `full` was compared with. */
    reference: fullGeneration.optional(),
    /** Entries this many reuses from a full generation cannot be donors; null for no limit. */
    maxReuseDepth: count.nullable(),
    thresholds,
    /**
     * Thresholds for donors in which the package's judge was sure to see everything asked; default:
     * `thresholds`.
     */
    sureThresholds: thresholds.optional(),
    /**
     * A kind without a plan is never used. Of several plans of a kind, the one with the largest
     * similarity reached applies.
     */
    plans: z.array(plan),
    measured: z.array(cell).default([]),
    /** The chosen plans on held-out prompts. */
    heldOut: z
      .strictObject({
        samples: count,
        loss,
        /** Mean network evaluations and equivalents over all prompts. */
        evaluations: z.number().nonnegative(),
        equivalents: z.number().nonnegative(),
        isWithinObjective: z.boolean(),
        hits: z.record(z.string(), z.int().nonnegative()).optional(),
      })
      .nullable(),
    /** Quality after this many chained reuses. */
    chainedReuse: z.array(z.strictObject({ reuseDepth: count, samples: count, loss })).optional(),
  })
  .superRefine(({ plans, full }, context) => {
    const seen = new Set<string>();
    for (const [index, plan] of plans.entries()) {
      const { kind, similarity, startTime, steps, anchor: how, equivalents } = plan;
      const refuse = (field: string, message: string): void =>
        context.addIssue({ code: 'custom', path: ['plans', index, field], message });
      const bin = `${kind} ${similarity}`;
      if (seen.has(bin))
        refuse('similarity', `expected one plan for ${kind} from ${similarity} on`);
      seen.add(bin);
      if (isRegional(how) ? equivalents > steps : equivalents !== steps) {
        refuse(
          'equivalents',
          `expected ${isRegional(how) ? 'at most' : 'exactly'} steps, ${steps}`,
        );
      }
      if ((how === 'place') !== (kind === 'placed')) {
        refuse('anchor', 'expected "place" for placed backgrounds, and only for them');
      }
      if (startTime === 1 && how !== 'place') refuse('startTime', 'expected less than 1');
      if (steps > full.steps || equivalents >= full.steps) {
        refuse('steps', `expected fewer than the ${full.steps} evaluations of a full generation`);
      }
    }
  });

/**
 * Measurements of a package by `flexcache calibrate` (`calibration.json`). See
 * docs/architecture.md.
 */
export type CalibrationFile = z.infer<typeof calibrationSchema>;

/** The file as written: fields with defaults may be absent. */
export type CalibrationFileInput = z.input<typeof calibrationSchema>;

/** Plan of a kind of hit, from a similarity on. */
export type CalibratedPlan = CalibrationFile['plans'][number];

const MEASURE_AGAIN = 'run `npx flexcache calibrate` on the package, or delete the file';

/**
 * Checks the content of a calibration file.
 *
 * @param path used in error messages
 * @throws FlexCacheError `model_corrupt` that names the first invalid field
 */
export function checkCalibrationFile(path: string, json: unknown): CalibrationFile {
  const parsed = calibrationSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue!.path.join('.') || 'the whole file';
  throw new FlexCacheError('model_corrupt', `${path}: ${field}: ${issue!.message}`, {
    field,
    fix: `correct ${field}, or ${MEASURE_AGAIN}`,
    cause: parsed.error,
  });
}

/**
 * Parses a package's `calibration.json`.
 *
 * @param path used in error messages
 * @param modelRevision revision of the package beside it
 * @throws FlexCacheError `model_corrupt` that names the first invalid field; also for a calibration
 * of another model, because start points do not transfer between models
 */
export function parseCalibration(
  path: string,
  text: string,
  modelRevision: string,
): CalibrationFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FlexCacheError('model_corrupt', `${path} is not JSON`, {
      field: CALIBRATION_FILE,
      fix: MEASURE_AGAIN,
      cause: error,
    });
  }
  const file = checkCalibrationFile(path, json);
  if (file.modelRevision === modelRevision) return file;
  throw new FlexCacheError(
    'model_corrupt',
    `${path} was measured on the model revision ${file.modelRevision}, the package has ${modelRevision}`,
    { field: 'modelRevision', fix: MEASURE_AGAIN },
  );
}
