import { z } from 'zod';
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
    revision: z.string().meta({ description: 'sha256 over the files of the package.' }),
    seconds: z.array(z.string()),
    sizes: z.array(z.string()),
    frames_per_second: z.number(),
    steps: z.int().meta({ description: 'Network evaluations of a full generation.' }),
  })
  .meta({ id: 'Model' });

export const modelListSchema = z
  .strictObject({ object: z.literal('list'), data: z.array(modelSchema) })
  .meta({ id: 'ModelList' });

export const healthSchema = z
  .strictObject({ status: z.literal('ok'), model: z.string(), revision: z.string() })
  .meta({ id: 'Health' });
