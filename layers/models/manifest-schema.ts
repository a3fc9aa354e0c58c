import { dirname } from 'node:path';
import { z } from 'zod';
import { SOLVERS } from '#core/generation.ts';
import { checkCombinations } from './manifest-combinations.ts';
import { MASK_EXTENTS, OBJECT_MASK_SOURCES } from './object-mask.ts';

export const NETWORK_NAMES = [
  'textEncoder',
  'denoiser',
  'vaeDecoder',
  'vaeEncoder',
  'imageEncoder',
  'segmenter',
  'frameSegmenter',
  'textTower',
  'videoTower',
  'imageTower',
  'embedder',
  'judge',
] as const;

/** A network of a package, by its name in `files`. */
export type NetworkName = (typeof NETWORK_NAMES)[number];

const extent = z.int().positive();
const cosine = z.number().min(-1).max(1);
const colour = z.tuple([z.number(), z.number(), z.number()]);
const packageFile = z.strictObject({
  // Absolute paths and `..` would let a package name files that are not its own.
  path: z
    .string()
    .regex(/^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]*$/, 'expected a path inside the package')
    .describe('Relative to the folder of model.json'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits'),
  bytes: extent,
});

const tokenizerFile = z.array(packageFile).length(1);

/** Files of a network: the graph, then what it names as its external data, by paths relative to its own. */
function networkFiles(does: string) {
  return z
    .array(packageFile)
    .min(1)
    .refine((files) => files.every(({ path }) => dirname(path) === dirname(files[0]!.path)), {
      error: 'expected all files of a network in one folder',
    })
    .describe(
      `${does}. First the ONNX graph, then the files of its external data, all in one folder`,
    );
}

const fields = z.strictObject({
  $schema: z.string().optional().describe('Address of this schema, for editors; nothing reads it'),
  format: z.literal('flexcache-model/2'),
  name: z.string().min(1),
  version: z.string().min(1).default('unknown'),
  license: z.string().min(1).default('unknown').describe('Of the weights'),
  family: z.string().min(1).optional().describe('Of the pipeline that it was exported from'),
  video: z
    .strictObject({
      frames: extent,
      height: extent.describe('Pixels'),
      width: extent.describe('Pixels'),
      framesPerSecond: z.number().positive(),
    })
    .describe('What the VAE decodes to; networks work at these extents alone'),
  latent: z
    .strictObject({ channels: extent, frames: extent, height: extent, width: extent })
    .describe('Extents [C,T,H,W] of a normalised latent'),
  text: z
    .strictObject({
      maxTokens: extent.describe('Longer prompts are cut, shorter ones filled up'),
      hidden: extent.describe("Extent of a token's state, the last of `states`"),
      padId: z
        .int()
        .nonnegative()
        .optional()
        .describe('Token that fills up; that of `[PAD]`, or 0, unless given'),
      eosId: z
        .int()
        .nonnegative()
        .nullable()
        .optional()
        .describe('Token that ends a prompt which was cut; null or absent where there is none'),
      addsSpecialTokens: z
        .boolean()
        .default(false)
        .describe(
          'Whether prompts are read as a whole, with the special tokens that the tokenizer adds; else word by word, without',
        ),
      negativePrompt: z
        .string()
        .default('')
        .describe('What guidance leads away from; part of the compatibility key'),
    })
    .describe('How prompts become the inputs and outputs of textEncoder'),
  scheduler: z
    .strictObject({
      type: z
        .literal('rectified-flow')
        .describe('x_t = (1-t) x0 + t eps; the denoiser predicts v = eps - x0'),
      steps: extent.describe('Evaluations of a full generation'),
      referenceSteps: extent
        .optional()
        .describe(
          'Evaluations of the full generations that `calibrate` compares with; steps unless given',
        ),
      guidance: z
        .number()
        .min(1)
        .describe('Classifier-free: v = v_u + guidance (v_c - v_u); 1 is none'),
      solver: z.enum(SOLVERS).default('euler'),
      shift: z
        .number()
        .positive()
        .optional()
        .describe(
          'Noise level of a start time u: s u / (1 + (s - 1) u); at most one of shift and sigmas',
        ),
      sigmas: z
        .array(z.number())
        .min(2)
        .refine((sigmas) => sigmas[0] === 1 && sigmas.at(-1) === 0, {
          error: 'expected the first to be 1 and the last 0',
        })
        .refine(
          (sigmas) => sigmas.every((sigma, index) => index === 0 || sigma < sigmas[index - 1]!),
          {
            error: 'expected each to be smaller than the one before',
          },
        )
        .optional()
        .describe(
          'Noise levels at evenly spaced start times from 1 to 0, each smaller than the one before',
        ),
    })
    .refine(({ shift, sigmas }) => shift === undefined || sigmas === undefined, {
      error: 'expected shift or sigmas, not both',
      path: ['sigmas'],
    })
    .describe('Without shift and sigmas start times are noise levels'),
  regions: z
    .strictObject({
      patch: z
        .tuple([extent, extent, extent])
        .describe('Latent frames, rows and columns that a token stands for'),
      blocks: extent.describe('Blocks of the denoiser, each with keys and values'),
      heads: extent,
      headWidth: extent,
      trained: z.boolean().describe('Whether the denoiser was trained to read a clean context'),
      contextType: z
        .enum(['float32', 'float16'])
        .optional()
        .describe('Of keys and values, taken and given; float32 unless given'),
      readsKept: z
        .boolean()
        .optional()
        .describe(
          'Whether the denoiser reads `kept`, and gives keys and values of those live tokens alone; false unless given',
        ),
    })
    .optional()
    .describe('Of a denoiser that evaluates some of its tokens'),
  objectMask: z
    .strictObject({
      source: z
        .enum(OBJECT_MASK_SOURCES)
        .describe(
          '`segmenter`: that network, on the clean latent; `attention`: object_map of the denoiser, as it attends to object_tokens; `frames`: frameSegmenter, on the decoded video',
        ),
      threshold: z
        .number()
        .gt(0)
        .lt(1)
        .optional()
        .describe(
          'Above which the object is, of `attention` the share of the range of the map, by the method of Otsu unless given; of `frames` the mean of mask over a latent position, 0.5 unless given',
        ),
      extents: z
        .enum(MASK_EXTENTS)
        .optional()
        .describe(
          'Of `frames` alone: whether mask is of the extents of the video or of its latent; `pixels` unless given',
        ),
      dilation: z
        .int()
        .nonnegative()
        .default(0)
        .describe(
          'Latent rows and columns by which the mask grows in each direction, beside the one that composing adds',
        ),
    })
    .optional()
    .describe('How objects are found; by segmenter unless given, and not at all without it'),
  videoVectors: z
    .discriminatedUnion('source', [
      z
        .strictObject({ source: z.literal('latent') })
        .describe('By videoTower, on the clean latent and its parts'),
      z
        .strictObject({
          source: z.literal('frames'),
          frames: extent.default(4).describe('Frames that are looked at, spread evenly'),
          height: extent.describe('Pixels that imageTower takes'),
          width: extent.describe('Pixels that imageTower takes'),
          mean: colour.describe('Of red, green and blue in 0..1; what images are less'),
          std: colour
            .refine((values) => values.every((value) => value > 0), {
              error: 'expected numbers above 0',
            })
            .describe('Of red, green and blue; what images are divided by after that'),
        })
        .describe('By imageTower, on decoded frames and their parts'),
    ])
    .optional()
    .describe(
      'How videos become vectors; by videoTower unless given. Without it the vectors of prompts stand in',
    ),
  embedding: z
    .strictObject({
      dimensions: extent.describe(
        'Of the vectors of textTower and videoTower, or of embedder; and of imageTower',
      ),
      maxTokens: extent
        .min(3)
        .optional()
        .describe('The most tokens that embedder takes, special ones included; of embedder alone'),
      fixedLength: z
        .boolean()
        .optional()
        .describe('Whether embedder takes inputs of exactly maxTokens; false unless given'),
    })
    .optional()
    .describe('Of the network that turns prompts into vectors; none where there is none'),
  splitter: z
    .strictObject({
      labels: z
        .array(z.string())
        .refine((labels) => labels.includes('object') && labels.includes('background'), {
          error: 'expected labels "object" and "background" among others',
        })
        .describe('`object` and `background` among others, in the order of the last axis'),
    })
    .optional()
    .describe('Of part_logits of textTower; without it a parser of English splits prompts'),
  lookup: z
    .strictObject({
      thresholds: z
        .strictObject({ whole: cosine, object: cosine, background: cosine })
        .describe('Least cosine of a prompt and a donor, where no calibration.json says it'),
    })
    .optional()
    .describe('Thresholds are conservative ones unless given'),
  judge: z
    .strictObject({
      attributes: z
        .array(
          z
            .strictObject({
              name: z.string().min(1),
              part: z.enum(['object', 'background']),
              values: z
                .array(z.string().min(1))
                .min(2)
                .describe('What it may be, in the order of the logits'),
              place: z
                .boolean()
                .optional()
                .describe('Whether it tells where the object is in the course of the video'),
              words: z
                .array(z.array(z.string().min(1)))
                .optional()
                .describe('Other words for each value, one list a value'),
            })
            .refine(({ values, words }) => words === undefined || words.length === values.length, {
              error: 'expected one list of words for each value',
            }),
        )
        .min(1)
        .describe('In the order of `logits`'),
    })
    .optional()
    .describe('What the network judge tells from a latent'),
  gpuBytes: z
    .partialRecord(z.enum(NETWORK_NAMES), extent)
    .optional()
    .describe(
      "What each network takes of a GPU's memory with the rows that it is run with, as its exporter measured it",
    ),
  files: z
    .strictObject({
      tokenizer: tokenizerFile.describe('Hugging Face tokenizer of textEncoder and textTower'),
      textEncoder: networkFiles('Tokens to the states that the denoiser reads'),
      denoiser: networkFiles('Latent, time and states to the velocity'),
      vaeDecoder: networkFiles('Latent to video'),
      vaeEncoder: networkFiles('Video to latent').optional(),
      imageEncoder: networkFiles(
        'First image to the latent of its frame; where it is there, denoiser takes a time for each latent frame',
      ).optional(),
      segmenter: networkFiles('Latent to the mask of its object').optional(),
      frameSegmenter: networkFiles('Video to the mask of its object').optional(),
      textTower: networkFiles('Prompt to its vector, in the space of videoTower').optional(),
      videoTower: networkFiles('Latent to its vector, in the space of textTower').optional(),
      imageTower: networkFiles(
        'Image to its vector, in the space of textTower or embedder',
      ).optional(),
      embedder: networkFiles('Sentence to its vector, in the place of textTower').optional(),
      embedderTokenizer: tokenizerFile.optional().describe('Hugging Face tokenizer of embedder'),
      judge: networkFiles('Latent to logits of the attributes of judge').optional(),
    })
    .describe(
      'The model revision is the sha256 over these names and hashes, and over videoVectors of frames',
    ),
});

/** Of `model.json`. */
export const manifestSchema = fields.superRefine(checkCombinations).meta({
  title: 'model.json of a FlexCache model package',
  description:
    'docs/architecture.md (Model package) says what the networks take and give. `npx flexcache model check` also checks what this schema cannot say: which fields need each other, the files, and the networks.',
});

/** The JSON Schema (draft 2020-12) of what may be written into `model.json`. */
export function manifestJsonSchema(): object {
  return z.toJSONSchema(manifestSchema, { io: 'input' });
}

/** `model.json` as it is written; docs/model-package.schema.json describes every field. */
export type WrittenManifest = z.infer<typeof fields>;

/** The same as it is read: `embedding` is there without a network, too. */
export type ModelManifest = WrittenManifest & {
  embedding: NonNullable<WrittenManifest['embedding']>;
};

/** A network of a package or a tokenizer, by its name in `files`. */
export type PackageFileName = keyof ModelManifest['files'];

/** A file of a package as its manifest declares it; the path is relative to the package. */
export type DeclaredFile = z.infer<typeof packageFile>;
