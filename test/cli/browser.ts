import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** A Chromium to test with, or null. */
export function findChromium(): string | null {
  const named = process.env['FLEXCACHE_CHROMIUM'];
  if (named !== undefined && named !== '') return named;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, 'chromium')).find(existsSync) ?? null;
}

export interface BrowserPage {
  /** Value of a JavaScript expression; promises are awaited. */
  evaluate<Value>(expression: string): Promise<Value>;
  /** Everything that the page asked for besides itself and data URLs. */
  requests: string[];
  /** What went wrong in its scripts. */
  exceptions: string[];
  /** PNG of the whole page. */
  screenshot(width: number, height: number): Promise<Buffer>;
  close(): Promise<void>;
}

interface ProtocolMessage {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

/** Opens a page headless and talks to it over the DevTools protocol. */
export async function openPage(chromium: string, url: string): Promise<BrowserPage> {
  const profile = await mkdtemp(join(tmpdir(), 'flexcache-chromium-'));
  const child = spawn(
    chromium,
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const endpoint = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`${chromium} ended with ${code}: ${text}`)));
    child.stderr.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const match = /ws:\/\/\S+/.exec(text);
      if (match) resolve(match[0]);
    });
  });
  const targets = (await (await fetch(`http://${new URL(endpoint).host}/json/list`)).json()) as {
    type: string;
    webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket(targets.find(({ type }) => type === 'page')!.webSocketDebuggerUrl);
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }));

  const requests: string[] = [];
  const exceptions: string[] = [];
  const pending = new Map<number, (message: ProtocolMessage) => void>();
  const events = new Map<string, () => void>();
  let lastId = 0;
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(data as string) as ProtocolMessage;
    if (message.id !== undefined) pending.get(message.id)?.(message);
    events.get(message.method ?? '')?.();
    if (message.method === 'Network.requestWillBeSent') {
      const { url: requested } = message.params!['request'] as { url: string };
      if (requested !== url && !requested.startsWith('data:')) requests.push(requested);
    }
    if (message.method === 'Runtime.exceptionThrown')
      exceptions.push(JSON.stringify(message.params));
  });
  const send = (method: string, params: object = {}): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      pending.set(id, ({ result, error }) => {
        pending.delete(id);
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result ?? {});
      });
      socket.send(JSON.stringify({ id, method, params }));
    });

  await send('Page.enable');
  await send('Network.enable');
  await send('Runtime.enable');
  const loaded = new Promise<void>((resolve) => events.set('Page.loadEventFired', resolve));
  await send('Page.navigate', { url });
  await loaded;

  return {
    requests,
    exceptions,
    evaluate: async <Value>(expression: string) => {
      const { result, exceptionDetails } = await send('Runtime.evaluate', {
        expression,
        awaitPromise: true,
        returnByValue: true,
      });
      if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
      return (result as { value: Value }).value;
    },
    screenshot: async (width, height) => {
      await send('Emulation.setDeviceMetricsOverride', {
        width,
        height,
        deviceScaleFactor: 1,
        mobile: false,
      });
      const { data } = await send('Page.captureScreenshot', { captureBeyondViewport: false });
      return Buffer.from(data as string, 'base64');
    },
    close: async () => {
      socket.close();
      const ended = new Promise((resolve) => child.on('exit', resolve));
      child.kill();
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
