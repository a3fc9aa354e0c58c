import { describe, expect, it } from 'vitest';
import { createEmbedHandler } from '#functions/embed/handler.ts';
import { sampleJob, sampleRequest } from '../aws/samples.ts';
import { FakeEmbedder, servicesOn, submit, useTable } from './fixture.ts';

describe('Embed', () => {
  const table = useTable();

  it('marks the job running and returns a vector for the prompt and each phrase', async () => {
    // Prepare
    const request = sampleRequest();
    await table().createJob(sampleJob(request));
    const embedder = new FakeEmbedder();
    const embed = createEmbedHandler({ ...servicesOn(table()), embedder });

    // Act
    const { embedding, usage } = await embed({ request });

    // Assess
    expect((await table().getJob(request.videoId))!.status).toBe('running');
    expect(embedder.texts).toEqual(['a red ball over the sea', 'a red ball', 'the sea']);
    expect(embedding).toMatchObject({ objectPhrase: 'a red ball', backgroundPhrase: 'the sea' });
    expect(Float32Array.from(embedding.vectors.whole)[0]).toBe(Math.fround(1 / Math.sqrt(2)));
    expect(usage).toMatchObject({
      step: 'embed',
      run: expect.stringMatching(/^[0-9a-f]{12}$/),
      // The job was started, and this record entered.
      tableWriteUnits: 2,
      stateTransitions: 1,
    });
  });

  it('has no vector for a part that the prompt does not name', async () => {
    // Prepare
    const request = await submit(table(), { prompt: 'fog' });

    // Act
    const { embedding } = await createEmbedHandler(servicesOn(table()))({ request });

    // Assess
    expect(embedding.backgroundPhrase).toBeNull();
    expect(embedding.vectors.background).toBeNull();
  });

  it('ends a request that was cancelled while it waited', async () => {
    // Prepare
    const request = await submit(table());
    await table().requestCancel(request.videoId);

    // Act
    const embedding = createEmbedHandler(servicesOn(table()))({ request });

    // Assess
    await expect(embedding).rejects.toMatchObject({
      name: 'cancelled',
      message: 'cancelled: the request was cancelled before it began',
    });
  });
});
