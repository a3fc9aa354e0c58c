import { meterUse } from './usage-meter.ts';

/** SQS charges each part of this size as a request of its own (SQS pricing). */
const BYTES_PER_REQUEST = 64 * 1024;

/**
 * Counts one request to a queue, which carried this body or came back with it.
 *
 * @param body nothing where the request has none: an empty receive is charged too
 */
export function meterQueueRequest(body: string = ''): void {
  const parts = Math.ceil(Buffer.byteLength(body) / BYTES_PER_REQUEST);
  meterUse({ queueRequests: Math.max(1, parts) });
}
