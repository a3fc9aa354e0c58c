import { FlexCacheError } from '#core/errors.ts';
import type { NetworkName } from '../manifest.ts';
import { BATCH, type NetworkSignature, type TensorSignature } from '../network-signature.ts';

export const EXPORT_AGAIN =
  'export the network again with the inputs and outputs that docs/architecture.md lists (Model package)';

/** How a graph's signature differs from the one that its network has to have; nothing where it does not. */
export function signatureProblems(
  network: NetworkName,
  expected: NetworkSignature,
  found: NetworkSignature,
): FlexCacheError[] {
  const problems = [
    ...expected.inputs.map((input) => problemOf('input', input, found.inputs)),
    ...expected.outputs.map((output) => problemOf('output', output, found.outputs)),
    ...found.inputs
      .filter(({ name }) => expected.inputs.every((input) => input.name !== name))
      .map((input) => `has an input ${described(input)}, which nothing is given to`),
  ];
  return problems
    .filter((problem) => problem !== null)
    .map((problem) => corruptNetwork(network, `network ${network} ${problem}`));
}

/** A network that is not what the manifest says. */
export function corruptNetwork(
  network: NetworkName,
  message: string,
  fix: string = EXPORT_AGAIN,
): FlexCacheError {
  return new FlexCacheError('model_corrupt', message, { field: `files.${network}`, fix });
}

/** The extent of a batch that the graph was fixed to; null where a run decides. */
export function fixedBatch({ inputs }: NetworkSignature): number | null {
  const fixed = inputs.map(({ shape }) => shape[0]).find((extent) => typeof extent === 'number');
  return fixed ?? null;
}

function problemOf(
  kind: 'input' | 'output',
  expected: TensorSignature,
  candidates: readonly TensorSignature[],
): string | null {
  const found = candidates.find(({ name }) => name === expected.name);
  if (found === undefined) {
    const others = candidates.map(({ name }) => name).join(', ');
    return `has no ${kind} ${expected.name}; it has ${others}`;
  }
  if (found.type === expected.type && isShapeOf(kind, expected.shape, found.shape)) return null;
  return `has the ${kind} ${described(found)}, expected ${described(expected)}`;
}

/** Whether a graph takes or gives tensors of a shape; it need not know the extents itself. */
function isShapeOf(
  kind: 'input' | 'output',
  expected: TensorSignature['shape'],
  found: TensorSignature['shape'],
): boolean {
  // A graph may leave a shape open.
  if (found.length === 0) return true;
  return (
    found.length === expected.length &&
    expected.every((extent, axis) => {
      const foundExtent = found[axis]!;
      if (typeof foundExtent === 'string') return true;
      if (typeof extent === 'number') return foundExtent === extent;
      // Whatever the batch is fixed to is looked at when it is run; outputs follow from inputs.
      return extent === BATCH || kind === 'output';
    })
  );
}

function described({ name, type, shape }: TensorSignature): string {
  return `${name} ${type} [${shape.join(', ')}]`;
}
