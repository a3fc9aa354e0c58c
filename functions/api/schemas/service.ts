import { z } from 'zod';
import { HIT_KINDS } from '#core/generation.ts';
import { ERROR_TYPES } from '../api-error.ts';

export const errorSchema = z
  .strictObject({
    error: z.strictObject({
      message: z.string(),
      type: z.enum(ERROR_TYPES),
      param: z.string().nullable(),
      code: z.string(),
    }),
  })
  .meta({ id: 'Error' });

export const modelSchema = z
  .strictObject({
    id: z.string(),
    object: z.literal('model'),
    created: z.int(),
    owned_by: z.string(),
    version: z.string(),
    license: z.string(),
    family: z
      .string()
      .nullable()
      .meta({ description: 'Of the pipeline that it was exported from.' }),
    revision: z.string().meta({ description: 'sha256 over the files of the package.' }),
    seconds: z.array(z.string()),
    sizes: z
      .array(z.string())
      .meta({ description: '`{width}x{height}` of the file: small videos are enlarged.' }),
    num_frames: z.array(z.int()),
    frames_per_second: z.number(),
    latent_shape: z.array(z.int()).meta({ description: 'Channels, frames, rows, columns.' }),
    steps: z
      .int()
      .meta({ description: 'Network evaluations of a full generation, unless a request says.' }),
    max_steps: z.int(),
    guidance_scale: z.number().meta({
      description: 'Scale of classifier-free guidance, unless a request says; 1 is none.',
    }),
    max_guidance_scale: z.number(),
    negative_prompt: z.string().meta({ description: 'Unless a request says.' }),
    max_prompt_tokens: z.int().meta({ description: 'What of a prompt is longer, is cut.' }),
    max_n: z.int().meta({ description: 'Videos of one request.' }),
    supports: z
      .strictObject({
        guidance_scale: z.boolean(),
        negative_prompt: z.boolean(),
        input_reference: z.boolean().meta({
          description: 'Whether a video may begin with an image that its request brings.',
        }),
        regions: z.boolean().meta({
          description: 'Whether the object alone can be denoised, over a background that stays.',
        }),
      })
      .meta({ description: 'What of a request may differ from the above.' }),
    hits: z.array(z.enum(HIT_KINDS)).meta({
      description: 'What hits requests can be, by the calibration of the package.',
    }),
  })
  .meta({ id: 'Model' });

export const modelListSchema = z
  .strictObject({ object: z.literal('list'), data: z.array(modelSchema) })
  .meta({ id: 'ModelList' });

export const healthSchema = z
  .strictObject({ status: z.literal('ok'), model: z.string(), revision: z.string() })
  .meta({ id: 'Health' });
