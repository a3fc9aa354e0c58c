import { expect, test } from 'vitest';
import { videoSchema } from '#functions/api/schemas/video.ts';
import { createEmbedHandler } from '#functions/embed/handler.ts';
import { loadManifest } from '#models/manifest.ts';
import { openPromptModels } from '#models/prompt-models.ts';
import { DEMO_PACKAGE, useApi } from './fixture.ts';

const api = useApi();

test.each([
  ['a small red ball bouncing over a green meadow at noon', []],
  [
    'a Fluffy red quokka, fluffy and red, over a meadow',
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
    `a red ball ${'over a meadow '.repeat(10)}at dawn`,
    [
      {
        code: 'prompt_cut',
        message:
          'the prompt is 3 tokens longer than the model takes; left out: "meadow", "at", "dawn". Shorten the prompt',
        words: ['meadow', 'at', 'dawn'],
      },
    ],
  ],
])('a video says what of its prompt the model could not take in: %s', async (prompt, expected) => {
  // Prepare
  const { call, create, table, workflow } = api();
  const modelPackage = await loadManifest(DEMO_PACKAGE);
  const { embedder, splitter } = await openPromptModels(modelPackage, { inThread: false });
  const { id, warnings: before } = videoSchema.parse((await create({ prompt })).body);
  const { request } = workflow.started.at(-1)!;

  // Act
  await createEmbedHandler({ table, embedder, splitter })({ request });
  await embedder.close();

  // Assess
  expect(before).toEqual([]);
  const { warnings } = videoSchema.parse((await call('GET', `/v1/videos/${id}`)).body);
  expect(warnings).toEqual(expected);
});
