import { z } from 'zod';
import { MAX_VIDEOS_OF_A_REQUEST } from '#core/requests/capabilities.ts';
import { storedNumber } from '#core/decimals.ts';
import { InvalidInputError, messageWithFix } from '#core/errors.ts';
import { CACHE_MODES, SCOPES } from '#core/generation.ts';
import { BACKFILL_ID_PATTERN, VIDEO_ID_PATTERN } from '#core/requests/identity.ts';
import { validatePlainText } from '#core/requests/plain-text.ts';
import {
  MAX_PROMPT_CHARACTERS,
  validateNegativePrompt,
  validatePrompt,
} from '#core/requests/prompt.ts';
import {
  MAX_GUIDANCE_SCALE,
  MAX_SEED,
  MAX_STEPS,
  MIN_GUIDANCE_SCALE,
} from '#core/requests/request.ts';

/** Limits on the caller's own labels. */
export const MAX_LABELS = 16;
const MAX_LABEL_NAME = 64;
const MAX_LABEL_VALUE = 512;

/** Turns what a check of the domain throws into an issue that keeps its code. */
function holds(check: (text: string) => unknown) {
  return (text: string, context: z.RefinementCtx<string>): void => {
    try {
      check(text);
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error;
      context.addIssue({
        code: 'custom',
        message: messageWithFix(error),
        params: { code: error.code },
      });
    }
  };
}

export const promptField = z
  .string()
  .superRefine(holds(validatePrompt))
  .meta({
    minLength: 1,
    description: `What the video shows: at most ${MAX_PROMPT_CHARACTERS} characters, at least one letter or digit.`,
    examples: ['a small red ball bouncing over a green meadow at noon'],
  });

/** A number from 0 to `highest`, as it is stored. */
export function boundedNumber(highest: number): z.ZodNumber {
  return z.number().min(0).max(highest).overwrite(storedNumber);
}

export const seedField = z
  .int()
  .min(0)
  .max(MAX_SEED)
  .overwrite(storedNumber)
  .meta({ description: 'Which of the videos of this prompt to make. Drawn when left out.' });

function plainText(field: string): z.ZodString {
  return z.string().superRefine(holds((text) => validatePlainText(field, text)));
}

const label = plainText('the label');

export const metadataField = z
  .record(label.min(1).max(MAX_LABEL_NAME), label.max(MAX_LABEL_VALUE))
  .refine((labels) => Object.keys(labels).length <= MAX_LABELS, {
    error: `at most ${MAX_LABELS} labels are kept`,
  })
  .meta({
    maxProperties: MAX_LABELS,
    description: `Your own labels, returned as they are: at most ${MAX_LABELS}, names of ${MAX_LABEL_NAME} and values of ${MAX_LABEL_VALUE} characters.`,
  });

/** Which addresses are allowed is a matter of who serves; see `WebhookPolicy`. */
export const webhookField = plainText('webhook').meta({
  description:
    'https address on a public host that is told when the work has ended; see docs/webhooks.md.',
  format: 'uri',
});

export const sizeField = z.string().meta({
  description: '`{width}x{height}`; must be what the model makes.',
  examples: ['384x384'],
});

const pixels = z.int().min(1);

/** What packages differ in; `GET /v1/models` says what there is. */
export const choiceFields = {
  negative_prompt: z
    .string()
    .superRefine(holds((text) => validateNegativePrompt(text, 'negative_prompt')))
    .meta({
      description: `What the video is not to show: at most ${MAX_PROMPT_CHARACTERS} characters (default: the model's, often empty). Videos of another one are no donors.`,
      examples: ['blurry, low quality'],
    }),
  guidance_scale: z.number().min(MIN_GUIDANCE_SCALE).max(MAX_GUIDANCE_SCALE).meta({
    description:
      "Scale of classifier-free guidance; 1 is none (default: the model's). Videos of another one are no donors.",
  }),
  num_frames: z.int().min(1).meta({ description: 'Frames; must be what the model makes.' }),
  fps: z
    .number()
    .positive()
    .meta({ description: 'Frames per second; must be what the model makes.' }),
  width: pixels.meta({ description: 'Pixels of the file; must be what the model makes.' }),
  height: pixels.meta({ description: 'Pixels of the file; must be what the model makes.' }),
  n: z
    .int()
    .min(1)
    .meta({
      maximum: MAX_VIDEOS_OF_A_REQUEST,
      description: `Videos of this prompt, at most ${MAX_VIDEOS_OF_A_REQUEST} (default 1); their seeds count up from \`seed\`.`,
    }),
};

/** What the dialect does not have, and how a caller may give it: beside the rest or in `extra_params`. */
export const extensionFields = {
  ...choiceFields,
  cache: z.enum(CACHE_MODES).meta({
    description:
      '`auto` (default) reads and writes the cache; `readonly` writes nothing; `refresh` reads nothing; `off` neither.',
  }),
  min_similarity: boundedNumber(1).meta({
    description:
      'Least similarity of a video to start from, and of every one that it was made from itself (default 0: the model decides).',
  }),
  max_reuse: boundedNumber(1).meta({
    description:
      'Largest share of the denoising that reuse may skip (default 1). Below 1 no stored video is returned as it is; 0 is a full generation. How much another seed changes a video is `cache.variety`.',
  }),
  scope: z.enum(SCOPES).meta({
    description:
      '`tenant` (default) reuses your own videos only; `shared` reuses and is reused by those of everybody who chose it.',
  }),
  steps: z
    .int()
    .min(1)
    .max(MAX_STEPS)
    .meta({ description: "Network evaluations of a full generation (default: the model's)." }),
  webhook: webhookField,
  metadata: metadataField,
};

export const videoIdField = z
  .string()
  .regex(VIDEO_ID_PATTERN)
  .meta({ examples: ['vid_3V5T7Q2J9M0K4N8P6R1S5W7X2Y'] });

export const backfillIdField = z
  .string()
  .regex(BACKFILL_ID_PATTERN)
  .meta({ examples: ['bkf_3V5T7Q2J9M0K4N8P6R1S5W7X2Y'] });

export const secondsSinceEpoch = z.int().meta({ description: 'Unix time, seconds.' });

const secondsOrNull = secondsSinceEpoch.nullable();

export const webhookDeliverySchema = z
  .strictObject({
    event_id: z.string().meta({ description: 'The `webhook-id` of what is sent.' }),
    attempts: z.int().min(0).meta({ description: 'How often it was sent.' }),
    delivered_at: secondsOrNull.meta({ description: 'When the receiver took it.' }),
    gave_up_at: secondsOrNull.meta({ description: 'When it was sent for the last time, in vain.' }),
    last_attempt_at: secondsOrNull,
    next_attempt_at: secondsOrNull.meta({ description: 'When it is sent again.' }),
    last_status: z
      .int()
      .nullable()
      .meta({ description: 'HTTP status of the last answer; null when there was none.' }),
    last_error: z.string().nullable().meta({ description: 'What went wrong the last time.' }),
  })
  .meta({ id: 'WebhookDelivery', description: 'What became of telling the webhook.' });

export type WireWebhookDelivery = z.infer<typeof webhookDeliverySchema>;

export const dollarsField = z
  .string()
  .regex(/^-?\d+\.\d+$/)
  .meta({ description: 'Dollars in digits, exact.', examples: ['0.001234'] });

export const costSchema = z
  .strictObject({
    amount: dollarsField.meta({
      description: 'List prices of all that was used for this video; the items add up to it.',
    }),
    wasted: dollarsField.meta({
      description:
        'The wasted part of `amount`: repeated steps, failed attempts, interrupted machines.',
    }),
    idle: dollarsField.meta({ description: 'Machines that waited for this video without work.' }),
    cold_start: dollarsField.meta({ description: 'Machines that started for this video.' }),
    loaded: dollarsField.meta({ description: '`amount`, `idle` and `cold_start` together.' }),
    full: dollarsField.meta({
      description: 'What the same video would have cost without the cache.',
    }),
    saved: dollarsField.meta({
      description:
        '`full` less `amount`: the GPU seconds of the network evaluations that the cache skipped.',
    }),
    currency: z.literal('USD'),
    items: z
      .array(
        z.strictObject({
          id: z.string().meta({ examples: ['ec2.g6.xlarge.spot'] }),
          unit: z.string(),
          quantity: z.number().min(0),
          amount: dollarsField,
          wasted: dollarsField,
        }),
      )
      .meta({ description: 'One for each price.' }),
    priced_as: z
      .strictObject({
        instance_type: z.string(),
        purchase_option: z.enum(['on-demand', 'spot']),
        is_reference: z.boolean(),
      })
      .meta({
        description:
          'The machine that finished the video; `is_reference` when the machine is not billed and its GPU seconds are priced as this one.',
      }),
    prices: z.strictObject({ region: z.string(), as_of: z.string() }),
  })
  .meta({
    id: 'Cost',
    description:
      'In exact digits: parts add up to their sum. Idle and starting machines are in `loaded` alone.',
  });

/** Lists are read in pages. */
export const MAX_PAGE = 100;
export const DEFAULT_PAGE = 20;

export function pageQuery(idField: z.ZodString) {
  return z.strictObject({
    limit: z.coerce
      .number()
      .int()
      .min(1)
      .max(MAX_PAGE)
      .default(DEFAULT_PAGE)
      .meta({ description: `How many, 1 to ${MAX_PAGE}.` }),
    after: idField
      .optional()
      .meta({ description: 'The last id of the page before, also if it was deleted since.' }),
    order: z.enum(['asc', 'desc']).default('desc').meta({ description: '`desc`: newest first.' }),
  });
}

/** A page of a listing. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.strictObject({
    object: z.literal('list'),
    data: z.array(item),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  });
}
