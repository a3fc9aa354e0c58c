import { workerData } from 'node:worker_threads';
import { answerCalls } from './call-thread.ts';
import type { ThreadData, ThreadTask } from './network-thread.ts';
import { OnnxNetworks, type NetworkTensors } from './onnx-networks.ts';

const { paths, options } = workerData as ThreadData;
const networks = new OnnxNetworks(paths, options);

answerCalls(carryOut, (outputs) => [
  ...new Set(Object.values(outputs).map(({ data }) => data.buffer as ArrayBuffer)),
]);

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
