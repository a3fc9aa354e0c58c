import { parentPort, workerData } from 'node:worker_threads';
import { FlexCacheError } from '#core/errors.ts';
import type { ThreadData, ThreadError, ThreadRequest, ThreadResponse } from './network-thread.ts';
import { OnnxNetworks } from './onnx-networks.ts';

const { paths, options } = workerData as ThreadData;
const networks = new OnnxNetworks(paths, options);
const port = parentPort!;

port.on('message', (request: ThreadRequest) => void answer(request));

async function answer({ id, network, inputs }: ThreadRequest): Promise<void> {
  try {
    const outputs = await networks.run(network, inputs);
    const buffers = new Set(Object.values(outputs).map(({ data }) => data.buffer as ArrayBuffer));
    reply({ id, outputs }, [...buffers]);
  } catch (error) {
    reply({ id, error: describe(error) });
  }
}

function reply(response: ThreadResponse, transfer: ArrayBuffer[] = []): void {
  port.postMessage(response, transfer);
}

function describe(error: unknown): ThreadError {
  if (error instanceof FlexCacheError) {
    const { code, message, field, fix } = error;
    return { code, message, field, fix };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message, field: undefined, fix: undefined };
}
