import { parentPort, workerData } from 'node:worker_threads';
import { FlexCacheError } from '#core/errors.ts';
import type {
  ThreadData,
  ThreadError,
  ThreadRequest,
  ThreadResponse,
  ThreadTask,
} from './network-thread.ts';
import { OnnxNetworks, type NetworkTensors } from './onnx-networks.ts';

const { paths, options } = workerData as ThreadData;
const networks = new OnnxNetworks(paths, options);
const port = parentPort!;

port.on('message', (request: ThreadRequest) => void answer(request));

async function answer(request: ThreadRequest): Promise<void> {
  const { id } = request;
  try {
    const outputs = await carryOut(request);
    const buffers = new Set(Object.values(outputs).map(({ data }) => data.buffer as ArrayBuffer));
    reply({ id, outputs }, [...buffers]);
  } catch (error) {
    reply({ id, error: describe(error) });
  }
}

async function carryOut(task: ThreadTask): Promise<NetworkTensors> {
  switch (task.kind) {
    case 'run':
      return networks.run(task.network, task.inputs, task.options);
    case 'gather':
      await networks.gather(task.names, task.axis, task.indices);
      return {};
    case 'release':
      await networks.release(task.names);
      return {};
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
