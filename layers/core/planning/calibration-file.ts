import { z } from 'zod';
import { FlexCacheError } from '../errors.ts';
import { ANCHORS, isRegional } from '../generation.ts';

/** The version of `calibration.json`. */
export const CALIBRATION_FORMAT = 'flexcache-calibration/1';

/** Beside `model.json`. Not among the package's files: another calibration leaves the model revision as it is. */
export const CALIBRATION_FILE = 'calibration.json';

/** Kinds of hits that are measured. The others need no network. */
export const MEASURED_KINDS = [
  'whole',
  'near',
  'object+background',
  'object',
  'background',
  /** A background whose own object is where the one that is asked for is to be. */
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
 * What a plan loses against full generations of the same prompts; positive is worse, 0.01 is 1 %.
 * `adherence`: share of the attributes that prompts name and the judge sees; null without a judge.
 * `similarity`: cosine of the prompt and its video. `frechet`: growth of the Frechet distance to reference
 * videos, in tenths of their variance, of the video tower's vectors. `frechetJudge`: of the judge's features,
 * where there is one.
 */
const loss = z.strictObject({
  adherence: estimate.nullable(),
  similarity: estimate.optional(),
  frechet: estimate,
  frechetJudge: estimate.optional(),
});

const startPoint = {
  kind: z.enum(MEASURED_KINDS),
  /** Least cosine of the request and its donor; for two donors, of the less similar one. */
  similarity: cosine,
  /** 1 only where nothing but the place of the object is the donor's. */
  startTime: share.or(z.literal(1)),
  /** Network evaluations, where a full generation runs `full.steps`. */
  steps: count,
  solver,
  anchor,
  /** Expected compute, in full network evaluations. */
  equivalents: z.number().positive(),
  loss,
  /** Videos that it was measured on. */
  samples: count,
};

const thresholds = z.strictObject({ whole: cosine, object: cosine, background: cosine });

const plan = z.strictObject(startPoint);

/** A cell of the measurement: what was chosen and what lost. */
const cell = z.strictObject({
  ...startPoint,
  isChosen: z.boolean().optional(),
  /** Why it was not measured further, or not chosen. */
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
    /** Of the package that was measured. */
    modelRevision: sha256,
    createdAt: z.iso.datetime(),
    machine: z.string().min(1),
    /** Execution provider of the networks. */
    provider: z.string().min(1),
    seed: z.int().nonnegative(),
    /** Most videos that a cell was measured on. */
    samples: count,
    /** Largest loss against `full` that a plan may have, with 95 % confidence. */
    objective: z.strictObject({ adherence: z.number().positive(), frechet: z.number().positive() }),
    /** Share of the donors admitted by `thresholds` that show what was asked. */
    precision: share.or(z.literal(1)),
    full: fullGeneration,
    /** What `full` was compared with. */
    reference: fullGeneration.optional(),
    /** Entries that are so many reuses away from a full generation are no donors; null where none is too far. */
    maxGeneration: count.nullable(),
    thresholds,
    /** The same of donors in which the package's judge was sure to see all that is asked; `thresholds` where absent. */
    sureThresholds: thresholds.optional(),
    /** A kind without a plan is never used. Of several for a kind the one with the largest similarity that is reached counts. */
    plans: z.array(plan),
    measured: z.array(cell).default([]),
    /** The chosen plans on prompts that chose nothing. */
    heldOut: z
      .strictObject({
        samples: count,
        loss,
        /** Mean network evaluations and equivalents of the mixture. */
        evaluations: z.number().nonnegative(),
        equivalents: z.number().nonnegative(),
        isWithinObjective: z.boolean(),
        hits: z.record(z.string(), z.int().nonnegative()).optional(),
      })
      .nullable(),
    /** Quality after so many reuses in a row. */
    generations: z.array(z.strictObject({ generation: count, samples: count, loss })).optional(),
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
        refuse('anchor', 'expected "place" for placed backgrounds, and for them alone');
      }
      if (startTime === 1 && how !== 'place') refuse('startTime', 'expected less than 1');
      if (steps > full.steps || equivalents >= full.steps) {
        refuse('steps', `expected less than the ${full.steps} evaluations of a full generation`);
      }
    }
  });

/** `calibration.json`: what `flexcache calibrate` measured of a package. docs/architecture.md describes it. */
export type CalibrationFile = z.infer<typeof calibrationSchema>;

/** As it is written: what has a default may be absent. */
export type CalibrationFileInput = z.input<typeof calibrationSchema>;

/** A kind of hit, from a similarity on. */
export type CalibratedPlan = CalibrationFile['plans'][number];

const MEASURE_AGAIN = 'run `npx flexcache calibrate` on the package, or remove the file';

/**
 * Checks the content of a calibration file.
 *
 * @param path for the message
 * @throws FlexCacheError `model_corrupt` naming the first wrong field.
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
 * The calibration in the text of a package's `calibration.json`.
 *
 * @param path for messages
 * @param modelRevision of the package that it lies beside
 * @throws FlexCacheError `model_corrupt` naming the first wrong field; so is a calibration of another
 * model, because start points that were measured on one say nothing of another.
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
