import { z } from 'zod';
import { PROMPT_WARNING_CODES } from '#core/requests/prompt-warnings.ts';
import {
  ANCHORS,
  HIT_KINDS,
  CACHE_MODES,
  LOOKUP_PARTS,
  NOT_STORED_REASONS,
  SCOPES,
} from '#core/generation.ts';
import { VARIETIES } from '#core/planning/variety.ts';
import { inputReferenceSchema } from './input-reference.ts';
import {
  backfillIdField,
  costSchema,
  extensionFields,
  listOf,
  pageQuery,
  promptField,
  secondsSinceEpoch,
  seedField,
  sizeField,
  videoIdField,
  webhookDeliverySchema,
} from './fields.ts';

/** Statuses on the wire: OpenAI's four, and `cancelled`. */
export const WIRE_STATUSES = ['queued', 'in_progress', 'completed', 'failed', 'cancelled'] as const;

const extensionsSchema = z
  .strictObject({ seed: seedField, ...extensionFields })
  .partial()
  .meta({
    id: 'ExtraParams',
    description: 'The fields that the dialect does not have, for clients that keep them apart.',
  });

const optional = {
  input_reference: inputReferenceSchema.optional(),
  ...z.strictObject({ seed: seedField, ...extensionFields }).partial().shape,
  extra_params: extensionsSchema.optional(),
};

export const createVideoSchema = z
  .strictObject({
    prompt: promptField,
    model: z
      .string()
      .optional()
      .meta({ description: 'One of `GET /v1/models` (default: the only one).' }),
    seconds: z
      .union([z.string(), z.number()])
      .optional()
      .meta({ description: 'Length of the video; must be what the model makes.' }),
    size: sizeField.optional(),
    ...optional,
  })
  .meta({ id: 'CreateVideo' });

export type CreateVideoBody = z.infer<typeof createVideoSchema>;

export const remixVideoSchema = z
  .strictObject({ prompt: promptField, ...optional })
  .meta({ id: 'RemixVideo' });

export type RemixVideoBody = z.infer<typeof remixVideoSchema>;

export const wireErrorSchema = z
  .strictObject({
    code: z.string(),
    message: z.string(),
    param: z.string().nullable(),
  })
  .meta({ id: 'WorkError', description: 'Why the work failed.' });

const share = z.number().min(0).max(1);
const steps = z.int().min(0);

const cacheSchema = z
  .strictObject({
    mode: z.enum(CACHE_MODES),
    hit: z.enum(HIT_KINDS).nullable().meta({ description: 'Null until the video is completed.' }),
    donors: z
      .array(
        z.strictObject({
          id: videoIdField
            .nullable()
            .meta({ description: 'Null for a video of another tenant (scope `shared` only).' }),
          part: z.enum(LOOKUP_PARTS),
          similarity: z.number().min(-1).max(1),
        }),
      )
      .meta({ description: 'The videos that this one was started from.' }),
    similarity: z
      .number()
      .min(-1)
      .max(1)
      .nullable()
      .meta({ description: 'Cosine of the request and its least similar donor.' }),
    t0: share.nullable().meta({
      description: 'Where denoising started: 1 is noise, 0 a stored video returned as it is.',
    }),
    anchor: z.enum(ANCHORS).nullable().optional().meta({
      description:
        "What of the donors is kept to the end: `none`, the `background`, all but the `region` of the object that was found, or all but the `place` of the donor's own object. Null until the video is completed, and for videos from before this was recorded.",
    }),
    variety: z.enum(VARIETIES).nullable().meta({
      description:
        'How much another seed changes this video: `none` for a stored video returned as it is, `low` where nearly all of a donor is kept. `max_reuse: 0` makes a video of its own. Null until it is completed.',
    }),
    steps_run: steps.nullable(),
    equivalents_run: z.number().min(0).nullable().meta({
      description:
        'What the steps computed, in network evaluations of the whole latent; less than steps_run where some ran on a region only.',
    }),
    steps_full: steps.meta({ description: 'Network evaluations without the cache.' }),
    skipped_share: share.nullable().meta({
      description: 'Share of the denoising that reuse skipped: 1 - equivalents_run / steps_full.',
    }),
    stored: z.boolean().nullable().meta({
      description: 'Whether other videos may start from this one. Null until it is completed.',
    }),
    not_stored_reason: z.enum(NOT_STORED_REASONS).nullable().meta({
      description:
        '`cache_mode`: `cache` forbade it. `exact_hit`: it is a stored video, returned as it is. `adds_little`: what it was made from serves the same requests nearly as well; `cache: refresh` stores it all the same.',
    }),
  })
  .meta({ id: 'CacheUse' });

export const videoSchema = z
  .strictObject({
    id: videoIdField,
    object: z.literal('video'),
    status: z.enum(WIRE_STATUSES).meta({
      description: '`queued` until a worker has taken it, then `in_progress` until it has ended.',
    }),
    queue_position: z.int().min(1).nullable().meta({
      description: 'Place in the queue while `queued`; 1 is next. Null afterwards.',
    }),
    progress: z.number().min(0).max(100),
    created_at: secondsSinceEpoch,
    completed_at: secondsSinceEpoch.nullable(),
    expires_at: secondsSinceEpoch.nullable().meta({
      description:
        'Unix time, seconds, when the file is deleted; null while there is none, and where videos are kept. Of an exact hit it is that of the earlier video.',
    }),
    model: z.string().nullable().meta({
      description:
        'What made it. Like its length and size null for videos from before these were recorded.',
    }),
    prompt: z.string(),
    seconds: z.string().nullable(),
    size: z.string().nullable().meta({ description: '`{width}x{height}` of the file.' }),
    remixed_from_video_id: videoIdField.nullable(),
    error: wireErrorSchema.nullable(),
    warnings: z
      .array(
        z.strictObject({
          code: z.enum(PROMPT_WARNING_CODES).meta({
            description:
              '`prompt_cut`, `negative_prompt_cut`: beyond the token limit of the model. `unknown_words`: not in its vocabulary.',
          }),
          message: z.string(),
          words: z.array(z.string()).meta({ description: 'The words it is about, as written.' }),
        }),
      )
      .meta({
        description:
          'What of the prompt and the negative prompt the model could not take in; empty until they were read and where it took in all.',
      }),
    seed: seedField,
    guidance_scale: z
      .number()
      .nullable()
      .meta({ description: "Null where it is the model's own; so is `negative_prompt`." }),
    negative_prompt: z.string().nullable(),
    input_reference_sha256: z.string().nullable().meta({
      description: 'Of the file of the first image; null where the video begins with none.',
    }),
    scope: z.enum(SCOPES),
    min_similarity: share,
    max_reuse: share,
    cache: cacheSchema,
    cost: costSchema.nullable().meta({ description: 'Known once the work has ended.' }),
    metadata: z.record(z.string(), z.string()),
    webhook: z.string().nullable(),
    webhook_delivery: webhookDeliverySchema.nullable(),
    backfill: z.strictObject({ id: backfillIdField, line: z.int().min(1) }).nullable(),
  })
  .meta({ id: 'Video' });

export type WireVideo = z.infer<typeof videoSchema>;

export const videoListSchema = listOf(videoSchema).meta({ id: 'VideoList' });

/** What a request is answered: one video, or the list of those that it asks for. */
export const videoOrListSchema = z.union([videoSchema, videoListSchema]);

export const deletedVideoSchema = z
  .strictObject({
    id: videoIdField,
    object: z.literal('video.deleted'),
    deleted: z.boolean().meta({
      description:
        'False when the video was not finished: it is cancelled, now or since before, and can still be read.',
    }),
  })
  .meta({ id: 'DeletedVideo' });

export const VARIANTS = ['video', 'thumbnail', 'spritesheet'] as const;

export type Variant = (typeof VARIANTS)[number];

export const contentQuerySchema = z.strictObject({
  variant: z.enum(VARIANTS).optional().meta({ description: '`video` unless said.' }),
});

export const videoPageQuerySchema = pageQuery(videoIdField);
