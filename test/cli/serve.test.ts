import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { inProcess, startProcess, temporaryFolder, type RunningProcess } from './harness.ts';

const FLEXCACHE = join(import.meta.dirname, '..', '..', 'cli', 'flexcache.mjs');
const TEST_TIMEOUT = 60_000;

function serve(folder: string, ...args: string[]): RunningProcess {
  const running = startProcess(folder, ['serve', '--port', '0', ...args], {}, FLEXCACHE);
  onTestFinished(() => {
    running.interrupt();
  });
  return running;
}

async function stopped(running: RunningProcess) {
  await running.printed('serving');
  running.interrupt();
  return running.ended;
}

describe('flexcache serve', () => {
  test(
    'makes a tenant and prints its key once, serves, and closes on SIGINT',
    async () => {
      const folder = await temporaryFolder();
      const first = serve(folder);
      await first.printed('serving');
      first.interrupt();
      const { exitCode, stdout, stderr } = await first.ended;
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(
        /^key {6}sk-flex-[\w-]{43}\nserving {2}http:\/\/127\.0\.0\.1:\d+\/v1\n$/,
      );
      expect(stderr).toContain('keep the key');

      const second = await stopped(serve(folder));
      expect(second.exitCode).toBe(0);
      expect(second.stdout).toMatch(/^serving {2}http/);
    },
    TEST_TIMEOUT,
  );

  test(
    'answers with its key while it runs, and tells where others reach it',
    async () => {
      const folder = await temporaryFolder();
      const port = await freePort();
      const publicUrl = 'https://videos.example.com';
      const running = startProcess(
        folder,
        ['serve', '--port', String(port), '--public-url', `${publicUrl}/`],
        {},
        FLEXCACHE,
      );
      onTestFinished(() => running.interrupt());
      await running.printed('serving');
      const health = await fetch(`http://127.0.0.1:${port}/healthz`);
      expect(await health.json()).toMatchObject({ status: 'ok', model: 'demo-world' });
      expect((await fetch(`http://127.0.0.1:${port}/v1/videos`)).status).toBe(401);
      running.interrupt();
      const { stdout } = await running.ended;
      expect(stdout).toContain(`serving  ${publicUrl}/v1\n`);
      const key = /sk-flex-\S+/.exec(stdout)![0];

      const again = startProcess(folder, ['serve', '--port', String(port)], {}, FLEXCACHE);
      onTestFinished(() => again.interrupt());
      await again.printed('serving');
      const listed = await fetch(`http://127.0.0.1:${port}/v1/videos`, {
        headers: { authorization: `Bearer ${key}` },
      });
      expect(await listed.json()).toMatchObject({ object: 'list', data: [] });
      again.interrupt();
      expect((await again.ended).exitCode).toBe(0);
    },
    TEST_TIMEOUT,
  );

  test(
    'names the port that is taken, and does not touch the state folder',
    async () => {
      const taken = createServer().listen(0, '127.0.0.1');
      onTestFinished(() => void taken.close());
      await once(taken, 'listening');
      const { port } = taken.address() as AddressInfo;
      const { flexcache } = await inProcess();
      const { exitCode, stderr } = await flexcache('serve', '--port', String(port));
      expect(exitCode).toBe(2);
      expect(stderr).toContain(`port ${port} of 127.0.0.1 is taken by another program`);
    },
    TEST_TIMEOUT,
  );

  test.each([
    [['--port', 'http'], 'port is "http"'],
    [['--port', '70000'], 'port is "70000"'],
    [['--host', '203.0.113.7'], '203.0.113.7 is no address of this machine'],
    [['--public-url', 'videos'], 'the public URL is "videos"'],
    [['--cors-origin', 'app.example.com'], 'the origin is "app.example.com"'],
    [['--cors-origin', 'https://app.example.com/'], 'the origin is "https://app.example.com/"'],
  ])('refuses %j', async (args, message) => {
    const { flexcache, clouds } = await inProcess();
    const { exitCode, stderr } = await flexcache('serve', '--port', '0', ...args);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
    expect(clouds).toEqual([]);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
