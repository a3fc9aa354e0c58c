import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { describe, expect, onTestFinished, test } from 'vitest';
import { serve } from '../api/serve-fixture.ts';
import { temporaryFolder } from '../temporary-folder.ts';

const EXAMPLES = resolve('examples');
const FLEXCACHE = resolve('cli/flexcache.mjs');

function start(
  name: string,
  folder: string,
  environment: Record<string, string>,
): ChildProcessByStdio<null, Readable, null> {
  const child = spawn(process.execPath, [join(EXAMPLES, name)], {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill());
  return child;
}

async function nextLine(lines: Interface): Promise<string> {
  const [line] = (await once(lines, 'line')) as [string];
  return line;
}

describe('examples', () => {
  test('openai-client.ts makes two videos and says what the second one reused', async () => {
    const folder = await temporaryFolder();
    const { server, client: clientOf } = await serve(join(folder, 'state'));
    const { apiKey } = await clientOf('acme');
    const child = start('openai-client.ts', folder, {
      FLEXCACHE_URL: `${server.url}/v1`,
      FLEXCACHE_API_KEY: apiKey!,
    });
    const ended = once(child, 'exit');

    const [first, second] = (await text(child.stdout)).split('\n');

    expect(await ended).toEqual([0, null]);
    expect(first).toMatch(/^vid_\w+\.mp4: miss, (\d+) of \1 steps, \$0\.\d+$/);
    expect(second).toMatch(/^vid_\w+\.mp4: [a-z+]+, \d+ of \d+ steps, \$0\.\d+$/);
    const videos = (await readdir(folder)).filter((name) => name.endsWith('.mp4'));
    expect(videos).toHaveLength(2);
  });

  test('webhook-receiver.ts takes signed webhooks and refuses others', async () => {
    const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
    const environment = { FLEXCACHE_WEBHOOK_SECRET: secret, PORT: '0' };
    const child = start('webhook-receiver.ts', await temporaryFolder(), environment);
    const lines = createInterface(child.stdout);
    const port = (await nextLine(lines)).split(' ').at(-1);
    const body = JSON.stringify({ type: 'video.completed', data: { id: 'vid_1' } });
    const sentAt = new Date();
    const send = async (signature: string): Promise<number> => {
      const headers = {
        'webhook-id': 'msg_1',
        'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
        'webhook-signature': signature,
      };
      return (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers, body })).status;
    };
    const printed = nextLine(lines);

    expect(await send('v1,AAAA')).toBe(401);
    expect(await send(new Webhook(secret).sign('msg_1', sentAt, body))).toBe(204);

    expect(await printed).toBe('video.completed vid_1');
  });

  test('backfill.jsonl makes a video of every line', async () => {
    const folder = await temporaryFolder();
    const args = ['--state', join(folder, 'state'), 'backfill', join(EXAMPLES, 'backfill.jsonl')];
    const { stdout } = await promisify(execFile)(process.execPath, [
      FLEXCACHE,
      ...args,
      '--out',
      join(folder, 'videos'),
      '--json',
    ]);
    const videos = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { status: string });
    expect(videos.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
  });
});
