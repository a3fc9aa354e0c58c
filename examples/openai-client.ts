/** Generates two videos of one scene through the HTTP API, and prints what the second one reused. */
import { writeFile } from 'node:fs/promises';
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: process.env['FLEXCACHE_URL'] ?? 'http://127.0.0.1:8080/v1',
  apiKey: process.env['FLEXCACHE_API_KEY'] ?? '',
});

/** What FlexCache adds to a video of the OpenAI dialect; docs/api.md has all of it. */
interface CachedVideo extends OpenAI.Videos.Video {
  cache: { hit: string; steps_run: number; steps_full: number };
  cost: { amount: string; saved: string } | null;
}

for (const prompt of [
  'a small blue ball rising over the ocean at dawn',
  'a small red ball rising over the ocean at dawn',
]) {
  let video = await client.videos.create({ prompt });
  while (video.status === 'queued' || video.status === 'in_progress') {
    await new Promise((resolve) => setTimeout(resolve, 500));
    video = await client.videos.retrieve(video.id);
  }
  if (video.status === 'failed') throw new Error(`${video.id} failed: ${video.error?.message}`);
  const content = await client.videos.downloadContent(video.id);
  const file = `${video.id}.mp4`;
  await writeFile(file, Buffer.from(await content.arrayBuffer()));
  const { cache, cost } = video as CachedVideo;
  console.log(
    `${file}: ${cache.hit}, ${cache.steps_run} of ${cache.steps_full} steps, $${cost?.amount}`,
  );
}
