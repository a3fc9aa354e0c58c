import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** A package index that takes requests and never answers. */
export interface HangingIndex {
  url: string;
  /** Resolves when something is asked of it. */
  asked: Promise<void>;
  /** Ends what waits for it. */
  close(): void;
}

/** Starts one for the running test. */
export async function hangingIndex(): Promise<HangingIndex> {
  const server = createServer();
  const asked = new Promise<void>((resolve) => server.once('request', () => resolve()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  onTestFinished(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked, close };
}
