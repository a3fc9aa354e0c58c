import { expect, test } from 'vitest';
import { videoSchema } from '#functions/shared/resources/schemas/video.ts';
import { createEmbedHandler } from '#functions/embed/handler.ts';
import { loadManifest } from '#models/manifest.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import { DEMO_PACKAGE, useApi } from './fixture.ts';

const api = useApi();

const CUT = `a red ball ${'over a meadow '.repeat(10)}at dawn`;

test.each([
  [{ prompt: 'a small red ball bouncing over a green meadow at noon' }, []],
  [
    { prompt: 'a Fluffy red quokka, fluffy and red, over a meadow' },
    [
      {
        code: 'unknown_words',
        message:
          'the model does not know "Fluffy", "quokka". Use other words for what the video should show',
        words: ['Fluffy', 'quokka'],
      },
    ],
  ],
  [
    { prompt: CUT },
    [
      {
        code: 'prompt_cut',
        message:
          'the prompt is 3 tokens longer than the model takes; left out: "meadow", "at", "dawn". Shorten the prompt',
        words: ['meadow', 'at', 'dawn'],
      },
    ],
  ],
  [
    { prompt: 'a red ball', negative_prompt: CUT },
    [
      {
        code: 'negative_prompt_cut',
        message:
          'the negative prompt is 3 tokens longer than the model takes; left out: "meadow", "at", "dawn". Shorten the negative prompt',
        words: ['meadow', 'at', 'dawn'],
      },
    ],
  ],
  [{ prompt: 'a red ball', negative_prompt: 'a quokka' }, []],
])('a video says what of its prompts the model could not take in: %j', async (asked, expected) => {
  // Prepare
  const { call, create, table, workflow } = api();
  const modelPackage = await loadManifest(DEMO_PACKAGE);
  const { embedder, splitter, reader } = await openPromptModels(modelPackage, { inThread: false });
  const { id, warnings: before } = videoSchema.parse((await create(asked)).body);
  const { request } = workflow.started.at(-1)!;

  // Act
  await createEmbedHandler({ table, embedder, splitter, reader })({ request });
  await embedder.close();

  // Assess
  expect(before).toEqual([]);
  const { warnings } = videoSchema.parse((await call('GET', `/v1/videos/${id}`)).body);
  expect(warnings).toEqual(expected);
});
