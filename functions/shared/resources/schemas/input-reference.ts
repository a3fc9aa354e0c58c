import { z } from 'zod';
import { MAX_IMAGE_BYTES } from '#core/requests/first-image.ts';

/** The field of a request, and of a form, for the first image of a video. */
export const INPUT_REFERENCE = 'input_reference';

export const inputReferenceSchema = z
  .strictObject({
    image_url: z.string().meta({
      description: 'A `data:` URL in base64, as `data:image/png;base64,...`.',
      examples: ['data:image/png;base64,iVBORw0KGgo='],
    }),
  })
  .meta({
    id: 'InputReference',
    description: `The first frame of the video, where the model takes one (\`supports.${INPUT_REFERENCE}\` of \`GET /v1/models\`): a PNG, JPEG or WebP of at most ${MAX_IMAGE_BYTES} bytes, in a form also a file. It is scaled to cover the frame, which keeps its middle. Videos of another image are no donors.`,
  });

export type InputReference = z.infer<typeof inputReferenceSchema>;
