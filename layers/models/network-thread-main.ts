import { workerData } from 'node:worker_threads';
import { serveCalls } from './call-thread.ts';
import type { SentInputs, ThreadData, ThreadTask } from './network-thread.ts';
import {
  OnnxNetworks,
  type NetworkInputs,
  type NetworkTensor,
  type NetworkTensors,
} from './onnx-networks.ts';
import type { ConstantChanges } from './sent-constants.ts';

const { paths, options } = workerData as ThreadData;
const networks = new OnnxNetworks(paths, options);
const constants = new Map<string, NetworkTensor>();

serveCalls(carryOut, (outputs) => [
  ...new Set(Object.values(outputs).map(({ data }) => data.buffer as ArrayBuffer)),
]);

async function carryOut(task: ThreadTask): Promise<NetworkTensors> {
  switch (task.kind) {
    case 'run': {
      // Before anything is waited for: a later call may forget what this one uses.
      change(task.constants);
      return networks.run(task.network, received(task.inputs), task.options);
    }
    case 'gather':
      await networks.gather(task.names, task.axis, task.indices);
      return {};
    case 'release':
      await networks.release(task.names);
      return {};
  }
}

function change({ added, forgotten }: ConstantChanges): void {
  for (const [name, tensor] of Object.entries(added)) constants.set(name, tensor);
  for (const name of forgotten) constants.delete(name);
}

function received(inputs: SentInputs): NetworkInputs {
  const found: NetworkInputs = {};
  for (const [name, input] of Object.entries(inputs)) {
    found[name] =
      'constantNames' in input
        ? { constants: input.constantNames.map((each) => constants.get(each)!) }
        : input;
  }
  return found;
}
