import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTick, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Job } from '#core/generation.ts';
import { newJob, requestOf } from '#core/requests/new-job.ts';
import { newRequest, type RequestInput } from '#core/requests/new-request.ts';
import {
  openEmbeddedCloud,
  type EmbeddedCloud,
  type EmbeddedCloudOptions,
  type EmbeddedParts,
  type Progress,
} from '#local/embedded-cloud.ts';
import type { Notification } from '#ports/notifications.ts';
import { FakeVideoModel } from '../denoiser/fakes.ts';
import { DEMO_PACKAGE, writePackage } from '../models/package-fixture.ts';
import { collect } from '../collect.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { fakeModels } from './fake-models.ts';

async function open(
  stateDirectory: string,
  video?: FakeVideoModel,
  parts: EmbeddedParts = {},
  options: Partial<EmbeddedCloudOptions> = {},
): Promise<EmbeddedCloud> {
  const cloud = await openEmbeddedCloud(
    { stateDirectory, modelDirectory: 'nowhere', ...options },
    {
      openModels: () => Promise.resolve(fakeModels(video)),
      worker: { progressMilliseconds: 0 },
      ...parts,
    },
  );
  onTestFinished(() => cloud.close());
  return cloud;
}

const PROMPT = 'a red ball over the sea';
const FOREIGN_ID = 'vid_00000000000000000000000000';

/** As a server makes it. */
function jobOf(cloud: EmbeddedCloud, input: Pick<RequestInput, 'prompt' | 'seed'>): Job {
  return newJob(newRequest({ tenant: 'server', ...input }, cloud.manifest.scheduler), cloud);
}

describe('the embedded cloud', () => {
  it('makes a video, stores it, and answers the same request with it', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    const progress: Progress[] = [];

    // Act
    const first = await cloud.generate({ prompt: PROMPT, seed: 1 }, (each) => progress.push(each));
    const second = await cloud.generate({ prompt: `  ${PROMPT.toUpperCase()}`, seed: 1 });

    // Assess
    expect(first).toMatchObject({
      status: 'completed',
      tenant: 'local',
      steps: 12,
      result: { hit: 'miss', stepsRun: 12 },
    });
    expect(second.result).toMatchObject({
      hit: 'exact',
      stepsRun: 0,
      videoKey: first.result!.videoKey,
    });
    const video = await cloud.objects.get(first.result!.videoKey);
    expect(video.byteLength).toBe(first.result!.videoBytes);
    expect([...new Set(progress.map(({ stage }) => stage))]).toEqual([
      'embed',
      'lookup',
      'queue',
      'generate',
      'commit',
    ]);
    const percents = progress.map(({ percent }) => percent);
    expect(percents).toEqual([...percents].sort((one, other) => one - other));
  });

  it('starts another seed of the same prompt from the latent of the first', async () => {
    // Prepare
    const video = new FakeVideoModel();
    // What takes so long is worth storing, near as it is to its donor.
    video.beforeStep = () => sleep(20);
    const cloud = await open(await temporaryFolder(), video);
    const first = await cloud.generate({ prompt: PROMPT, seed: 1 });

    // Act
    const second = await cloud.generate({ prompt: PROMPT, seed: 2 });

    // Assess
    expect(second.result).toMatchObject({
      hit: 'whole',
      startTime: 0.3,
      stepsRun: 4,
      donors: [{ entryId: first.videoId, part: 'whole' }],
      admission: { stored: true },
    });
    expect((await cloud.table.getEntry(second.videoId))!.reuseDepth).toBe(1);
  });

  it('stores no twin of a video that is made anew in no time, and still answers with it', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    const first = await cloud.generate({ prompt: PROMPT, seed: 1 });

    // Act
    const second = await cloud.generate({ prompt: PROMPT, seed: 2 });
    const again = await cloud.generate({ prompt: PROMPT, seed: 2 });

    // Assess
    expect(first.result!.admission).toEqual({ stored: true });
    for (const { result } of [second, again]) {
      expect(result).toMatchObject({
        hit: 'whole',
        admission: { stored: false, reason: 'adds_little' },
      });
      expect((await cloud.objects.get(result!.videoKey)).byteLength).toBe(result!.videoBytes);
    }
    expect(await collect(cloud.vectors.list())).toEqual([first.videoId]);
  });

  it('keeps what it made for the next process, even when the vectors are lost', async () => {
    // Prepare
    const folder = await temporaryFolder();
    const before = await open(folder);
    const made = await before.generate({ prompt: PROMPT, seed: 1, idempotencyKey: 'line 1' });
    await before.close();
    await rm(join(folder, 'vectors'), { recursive: true });

    // Act
    const after = await open(folder);
    const again = await after.generate({ prompt: PROMPT, idempotencyKey: 'line 1' });

    // Assess
    expect(again).toEqual(made);
    expect(await collect(after.vectors.list())).toEqual([made.videoId]);
  });

  it('goes on with a job that was running when the process before ended', async () => {
    // Prepare
    const folder = await temporaryFolder();
    const video = new FakeVideoModel();
    const began = Promise.withResolvers<void>();
    video.beforeStep = () => {
      began.resolve();
      return new Promise((resolve) => setTimeout(resolve, 20));
    };
    const before = await open(folder, video);
    const interrupted = before.generate({ prompt: PROMPT, idempotencyKey: 'line 1' });
    const rejected = expect(interrupted).rejects.toThrow('closed while it worked');
    await began.promise;

    // Act
    await before.close();
    await rejected;
    const after = await open(folder);
    const [left] = (await after.table.listJobs('local', { limit: 1 })).items;
    const job = await after.generate({ prompt: PROMPT, idempotencyKey: 'line 1' });

    // Assess
    expect(left!.status).toBe('running');
    expect(job).toMatchObject({ status: 'completed', videoId: left!.videoId, seed: left!.seed });
    expect(job.result!.hit).toBe('miss');
  });

  it('resumes for a server what the process before it left, without being asked again', async () => {
    // Prepare
    const folder = await temporaryFolder();
    const video = new FakeVideoModel();
    const began = Promise.withResolvers<void>();
    video.beforeStep = () => {
      began.resolve();
      return new Promise((resolve) => setTimeout(resolve, 20));
    };
    const before = await open(folder, video);
    const running = jobOf(before, { prompt: PROMPT });
    const queued = jobOf(before, { prompt: 'a blue ball over the sea' });
    await before.table.createJob(running);
    await before.table.createJob(queued);
    await before.table.createJob({
      ...jobOf(before, { prompt: PROMPT }),
      videoId: FOREIGN_ID,
      compatibilityKey: 'another model',
    });
    await before.workflow.start(requestOf(running), 1);
    await began.promise;
    await before.close();
    const after = await open(folder);

    // Act
    const resumed = await after.resumeUnfinished();
    const ended = await Promise.all(resumed.map((videoId) => after.finished(videoId)));

    // Assess
    expect(new Set(resumed)).toEqual(new Set([running.videoId, queued.videoId]));
    expect(ended.map(({ status }) => status)).toEqual(['completed', 'completed']);
    expect(await after.finished(FOREIGN_ID)).toMatchObject({
      status: 'failed',
      error: { code: 'condition_failed', message: expect.stringContaining('another model') },
    });
    expect(await after.resumeUnfinished()).toEqual([]);
  });

  it('tries a failed job again in an execution of its own', async () => {
    // Prepare
    const video = new FakeVideoModel();
    video.beforeStep = () => {
      throw new Error('the device fell off the bus');
    };
    const cloud = await open(await temporaryFolder(), video);
    const job = jobOf(cloud, { prompt: PROMPT });
    await cloud.table.createJob(job);
    await cloud.workflow.start(requestOf(job), 1);
    while ((await cloud.table.getJob(job.videoId))!.status !== 'failed') await nextTick();

    // Act
    video.beforeStep = () => {};
    const { attempt } = await cloud.table.resubmitJob(job.videoId);
    await cloud.workflow.start(requestOf(job), attempt);

    // Assess
    expect(await cloud.finished(job.videoId)).toMatchObject({ status: 'completed', attempt: 2 });
  });

  it('keeps what one tenant made from the other unless both share', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    const made = await cloud.generate({ prompt: PROMPT, seed: 1, tenant: 'one' });

    // Act
    const other = await cloud.generate({ prompt: PROMPT, seed: 1, tenant: 'two' });
    const shared = await cloud.generate({
      prompt: PROMPT,
      seed: 1,
      tenant: 'one',
      scope: 'shared',
    });
    const again = await cloud.generate({ prompt: PROMPT, seed: 1, tenant: 'two', scope: 'shared' });

    // Assess
    expect([made, other, shared].map(({ result }) => result!.hit)).toEqual([
      'miss',
      'miss',
      'miss',
    ]);
    expect(again.result).toMatchObject({
      hit: 'exact',
      videoKey: shared.result!.videoKey,
      replaced: { networkEvaluations: 12 },
    });
  });

  it('remixes a video that was named', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    const donor = await cloud.generate({ prompt: PROMPT, seed: 1 });

    // Act
    const remix = await cloud.generate({
      prompt: 'xylophones',
      seed: 2,
      remixOf: donor.videoId,
      maxReuse: 0.1,
    });
    const lost = await cloud.generate({ prompt: PROMPT, remixOf: FOREIGN_ID });

    // Assess
    expect(remix).toMatchObject({
      status: 'completed',
      result: { donors: [{ entryId: donor.videoId }] },
    });
    expect(remix.result!.startTime).toBeGreaterThanOrEqual(0.9);
    expect(lost).toMatchObject({ status: 'failed', error: { code: 'not_found' } });
  });

  it('lets donors go and frees places when jobs end, and hands over announcements', async () => {
    // Prepare
    const sent: Notification[] = [];
    let isClosed = false;
    const cloud = await open(
      await temporaryFolder(),
      undefined,
      {},
      {
        presign: (key) => `http://127.0.0.1/${key}`,
        notifications: () => ({
          send: async (notification) => void sent.push(notification),
          [Symbol.asyncDispose]: async () => void (isClosed = true),
        }),
      },
    );
    const donor = await cloud.generate({ prompt: PROMPT, seed: 1, tenant: 'server' });
    const job = { ...jobOf(cloud, { prompt: PROMPT, seed: 2 }), webhook: 'https://example.com/' };
    await cloud.table.createJob(job);
    await cloud.services.tenants.takePlace(job.tenant, job.videoId, 1);

    // Act
    await cloud.workflow.start(requestOf(job), 1);
    const ended = await cloud.finished(job.videoId);

    // Assess
    expect(ended.result).toMatchObject({ hit: 'whole', donors: [{ entryId: donor.videoId }] });
    expect(await cloud.table.getEntry(donor.videoId)).not.toHaveProperty('leaseUntil');
    expect(await cloud.services.tenants.listPlaces(job.tenant)).toEqual([]);
    const day = job.createdAt.slice(0, 10);
    expect(await cloud.services.tenants.getSpending(job.tenant, day)).toBe(
      cloud.services.costOf(donor) + cloud.services.costOf(ended),
    );
    expect(sent).toEqual([{ kind: 'video', id: job.videoId }]);
    expect(await cloud.objects.presign('videos/v/1.mp4', { expiresSeconds: 60 })).toBe(
      'http://127.0.0.1/videos/v/1.mp4',
    );
    await cloud.close();
    expect(isClosed).toBe(true);
  });

  it('makes one video of two requests with one key', async () => {
    // Prepare
    const video = new FakeVideoModel();
    const cloud = await open(await temporaryFolder(), video);
    const input = { prompt: PROMPT, seed: 5, idempotencyKey: 'twice' };

    // Act
    const [one, other] = await Promise.all([cloud.generate(input), cloud.generate(input)]);

    // Assess
    expect(one).toEqual(other);
    expect(video.times).toHaveLength(12);
  });

  it('refuses a key that was used for another request', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());
    await cloud.generate({ prompt: PROMPT, idempotencyKey: 'key' });

    // Act
    const other = cloud.generate({ prompt: 'a blue ball', idempotencyKey: 'key' });

    // Assess
    await expect(other).rejects.toMatchObject({ code: 'invalid_input', field: 'idempotencyKey' });
  });

  it('stops a generation that is cancelled before its next step', async () => {
    // Prepare
    const video = new FakeVideoModel();
    const cloud = await open(await temporaryFolder(), video);
    let cancelling: Promise<void> | undefined;
    const cancelAtThirdStep = ({ videoId }: Progress): void => {
      if (video.times.length === 3) cancelling ??= cloud.cancel(videoId);
    };

    // Act
    const job = await cloud.generate({ prompt: PROMPT, seed: 1 }, cancelAtThirdStep);
    await cancelling;

    // Assess
    expect(job).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    expect(video.times.length).toBeLessThan(6);
    expect(await cloud.table.getEntry(job.videoId)).toBeNull();
  });

  it('fails the job of a generation that breaks, and makes it when it is asked again', async () => {
    // Prepare
    const video = new FakeVideoModel();
    video.beforeStep = () => {
      throw new Error('the device fell off the bus');
    };
    const cloud = await open(await temporaryFolder(), video);
    const input = { prompt: PROMPT, idempotencyKey: 'key' };

    // Act
    const failed = await cloud.generate(input);
    video.beforeStep = () => {};
    const repaired = await cloud.generate(input);

    // Assess
    expect(failed).toMatchObject({
      status: 'failed',
      error: { code: 'internal', message: 'the device fell off the bus' },
    });
    expect(repaired).toMatchObject({ status: 'completed', videoId: failed.videoId });
    expect(repaired).not.toHaveProperty('error');
  });

  it('rejects an empty prompt and leaves no job behind', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());

    // Act
    const generation = cloud.generate({ prompt: ' ' });

    // Assess
    await expect(generation).rejects.toMatchObject({ code: 'prompt_empty' });
    expect((await cloud.table.listJobs('local', { limit: 1 })).items).toEqual([]);
  });

  it('lets one process in and names it to the next', async () => {
    // Prepare
    const folder = await temporaryFolder();
    await open(folder);

    // Act
    const second = open(folder);

    // Assess
    await expect(second).rejects.toMatchObject({ code: 'state_locked' });
  });

  it('refuses a corrupt model package before it touches the state folder', async () => {
    // Prepare
    const modelDirectory = await writePackage();
    onTestFinished(() => rm(modelDirectory, { recursive: true }));
    const tokenizer = join(modelDirectory, 'tokenizer.json');
    const content = await readFile(tokenizer);
    content[0]! ^= 1;
    await writeFile(tokenizer, content);
    const folder = join(await temporaryFolder(), 'state');

    // Act
    const opening = openEmbeddedCloud({ stateDirectory: folder, modelDirectory });

    // Assess
    await expect(opening).rejects.toMatchObject({ code: 'model_corrupt', field: tokenizer });
    await expect(readFile(join(folder, 'version'))).rejects.toThrow('ENOENT');
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('closes before %s ends its process', async (signal) => {
    // Prepare
    const folder = await temporaryFolder();
    const script = new URL('embedded-cloud-until-signal.ts', import.meta.url).pathname;
    const holder = spawn(process.execPath, [script, folder, DEMO_PACKAGE]);
    onTestFinished(() => void holder.kill('SIGKILL'));
    await once(holder.stdout, 'data');

    // Act
    holder.kill(signal);
    const [, endedBy] = (await once(holder, 'exit')) as [number | null, string];

    // Assess
    expect(endedBy).toBe(signal);
    expect(await readdir(join(folder, 'lock'))).toEqual([]);
  });

  it('may be closed twice and takes no request afterwards', async () => {
    // Prepare
    const cloud = await open(await temporaryFolder());

    // Act
    await Promise.all([cloud.close(), cloud.close()]);

    // Assess
    await expect(cloud.generate({ prompt: PROMPT })).rejects.toMatchObject({ code: 'cancelled' });
  });
});
