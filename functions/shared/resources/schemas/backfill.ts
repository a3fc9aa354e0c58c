import { z } from 'zod';
import { HIT_KINDS } from '#core/generation.ts';
import { BACKFILL_FORMATS } from '#core/requests/backfill.ts';
import { OBJECT_KEY } from '#ports/object-key.ts';
import {
  backfillIdField,
  boundedNumber,
  choiceFields,
  dollarsField,
  extensionFields,
  listOf,
  metadataField,
  pageQuery,
  promptField,
  secondsSinceEpoch,
  seedField,
  sizeField,
  webhookDeliverySchema,
  webhookField,
} from './fields.ts';
import { WIRE_STATUSES, wireErrorSchema } from './video.ts';

/** Prompts that one request may carry; more come as a file. */
export const MAX_INLINE_PROMPTS = 1000;

export const MAX_CONCURRENCY = 1000;
export const DEFAULT_CONCURRENCY = 10;
export const DEFAULT_TOLERATED_FAILURE_PERCENTAGE = 100;

const { cache, scope, steps, min_similarity, max_reuse } = extensionFields;
const { guidance_scale, negative_prompt } = choiceFields;

const lineSchema = z
  .strictObject({
    prompt: promptField,
    seed: seedField.optional(),
    cache: cache.optional(),
    steps: steps.optional(),
    size: sizeField.optional(),
    ...z.strictObject(choiceFields).partial().shape,
  })
  .meta({ id: 'BackfillPrompt' });

/** What a file is, its name says or `format` does. */
const FROM_FILE = {
  required: ['input_key'],
  anyOf: [
    { required: ['format'] },
    {
      properties: {
        input_key: { pattern: '\\.([tT][xX][tT]|[jJ][sS][oO][nN][lL]|[cC][sS][vV])$' },
      },
    },
  ],
};

export const createBackfillSchema = z
  .strictObject({
    prompts: z
      .array(z.union([promptField, lineSchema]))
      .min(1)
      .max(MAX_INLINE_PROMPTS)
      .optional()
      .meta({ description: `At most ${MAX_INLINE_PROMPTS} prompts; this or \`input_key\`.` }),
    input_key: z
      .string()
      .min(1)
      .max(1024)
      .regex(OBJECT_KEY)
      .optional()
      .meta({
        description:
          'Key of a .txt, .jsonl or .csv file in the bucket of the latents, below `uploads/{your tenant}/`; this or `prompts`.',
        examples: ['uploads/acme/prompts.jsonl'],
      }),
    format: z
      .enum(BACKFILL_FORMATS)
      .optional()
      .meta({ description: 'Of the file; follows from its name when left out.' }),
    dry_run: z
      .boolean()
      .optional()
      .meta({ description: 'Answer with what is to be expected, and make nothing.' }),
    cache: cache.optional(),
    scope: scope.optional(),
    steps: steps.optional(),
    guidance_scale: guidance_scale.optional(),
    negative_prompt: negative_prompt.optional(),
    min_similarity: min_similarity.optional(),
    max_reuse: max_reuse.optional(),
    concurrency: z
      .int()
      .min(1)
      .max(MAX_CONCURRENCY)
      .optional()
      .meta({ description: `Concurrent videos (default ${DEFAULT_CONCURRENCY}).` }),
    tolerated_failure_percentage: boundedNumber(100)
      .optional()
      .meta({
        description: `More failed lines than this end the backfill (default ${DEFAULT_TOLERATED_FAILURE_PERCENTAGE}: none does).`,
      }),
    webhook: webhookField.optional(),
    metadata: metadataField.optional(),
  })
  .meta({ id: 'CreateBackfill', oneOf: [{ required: ['prompts'] }, FROM_FILE] });

export type CreateBackfillBody = z.infer<typeof createBackfillSchema>;

const count = z.int().min(0);

const hitCounts = z
  .strictObject(
    Object.fromEntries(HIT_KINDS.map((hit) => [hit, count])) as Record<
      (typeof HIT_KINDS)[number],
      typeof count
    >,
  )
  .meta({ id: 'HitCounts' });

const summaryFields = {
  id: backfillIdField,
  object: z.literal('backfill'),
  status: z.enum(WIRE_STATUSES),
  created_at: secondsSinceEpoch,
  started_at: secondsSinceEpoch.nullable(),
  completed_at: secondsSinceEpoch.nullable(),
  lines: count.nullable().meta({ description: 'Null until the file was read.' }),
  input_key: z.string(),
  format: z.enum(BACKFILL_FORMATS),
  concurrency: count,
  tolerated_failure_percentage: z.number(),
  error: wireErrorSchema.nullable(),
  metadata: z.record(z.string(), z.string()),
  webhook: z.string().nullable(),
  webhook_delivery: webhookDeliverySchema.nullable(),
};

export const backfillSummarySchema = z.strictObject(summaryFields).meta({ id: 'BackfillSummary' });

export type WireBackfillSummary = z.infer<typeof backfillSummarySchema>;

export const backfillSchema = z
  .strictObject({
    ...summaryFields,
    eta_at: secondsSinceEpoch.nullable().meta({
      description: 'When it will be finished if it goes on as it has; null before the first line.',
    }),
    counts: z.strictObject({
      completed: count,
      failed: count,
      cancelled: count,
      already_there: count.meta({
        description:
          'Of the completed ones: those that were there before. They cost nothing again.',
      }),
    }),
    hits: hitCounts.meta({ description: 'Of the videos that it made itself.' }),
    steps_run: count,
    steps_full: count.meta({ description: 'Network evaluations without the cache.' }),
    cost: z
      .strictObject({ amount: dollarsField, currency: z.literal('USD') })
      .meta({ description: 'Of the lines that have ended.' }),
    results_url: z
      .string()
      .nullable()
      .meta({ description: 'Address of the results manifest; expires within the hour.' }),
  })
  .meta({ id: 'Backfill' });

export type WireBackfill = z.infer<typeof backfillSchema>;

export const backfillListSchema = listOf(backfillSummarySchema).meta({ id: 'BackfillList' });

export const predictionSchema = z
  .strictObject({
    object: z.literal('backfill.prediction'),
    lines: count.meta({ description: 'Of the input; estimated when `extrapolated`.' }),
    rejected: count.meta({ description: 'Lines that ask for nothing that could be made.' }),
    refused: count.meta({
      description:
        'Lines that would fail as things are: their videos were deleted, or the budget of the day has not so much left. `notes` says which.',
    }),
    already_there: count.meta({
      description: 'Lines whose videos are there already: they cost nothing again.',
    }),
    looked_at: count.meta({ description: 'Lines whose prompts were looked up.' }),
    extrapolated: z.boolean().meta({
      description: 'The input has more lines than are looked up; the rest is taken to be alike.',
    }),
    hits: hitCounts,
    steps_run: count,
    steps_full: count,
    cost: z
      .strictObject({
        amount: dollarsField,
        without_cache: dollarsField,
        currency: z.literal('USD'),
      })
      .meta({ description: 'Estimated at list prices.' }),
    notes: z.array(z.string()).meta({ description: 'What the figures rest on.' }),
  })
  .meta({ id: 'BackfillPrediction' });

export type WirePrediction = z.infer<typeof predictionSchema>;

export const backfillPageQuerySchema = pageQuery(backfillIdField);

export const backfillOrPredictionSchema = z.union([backfillSchema, predictionSchema]);
