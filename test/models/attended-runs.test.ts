import { describe, expect, it } from 'vitest';
import { addObjectMap } from '#core/latents/object-map.ts';
import { elementCount, type AttendedTensor, type Tensor } from '#core/latents/tensor.ts';
import type { ModelManifest } from '#models/manifest.ts';
import type { TextCondition } from '#models/model.ts';
import { OnnxDenoiser } from '#models/onnx-denoiser.ts';
import type { NetworkInputs, NetworkRunner, RunOptions } from '#models/onnx-networks.ts';
import { SampleRun } from '#models/sample-run.ts';
import { FakeRegions, FakeVideoModel, SHAPE } from '../denoiser/fakes.ts';

const GRID = SHAPE.slice(1);

function tensor(shape: readonly number[], value: number): Tensor {
  return { data: new Float32Array(elementCount(shape)).fill(value), shape };
}

/** Of an evaluation whose map is the same everywhere. */
function attended(value: number): AttendedTensor {
  return { ...tensor(SHAPE, 0.1), objectMap: tensor(GRID, value) };
}

describe('a run that denoises a region', () => {
  it('asks for its object with the maps so far, and adds those of the region', () => {
    // Prepare
    const donors = { object: null, background: tensor(SHAPE, 0.5) };
    const plan = { startTime: 1, steps: 4, seed: 1, solver: 'euler', anchor: 'region' } as const;
    const regions = new FakeRegions(new FakeVideoModel());
    const run = new SampleRun(plan, { latentShape: SHAPE, donors, regions });
    const mask = tensor(GRID, 0);
    mask.data[0] = 1;

    // Act
    run.accept(attended(0.1));
    run.accept(attended(0.2));
    const asked = run.next();
    run.accept(mask);
    const before = run.state;
    const kinds: string[] = [];
    for (const value of [0.3, 0.4]) {
      kinds.push(run.next()!.kind);
      run.accept(attended(value));
    }

    // Assess
    const sums = [0.1, 0.2, 0.3, 0.4].reduce<Tensor[]>(
      (all, value, step) => [
        ...all,
        addObjectMap(all.at(-1) ?? null, tensor(GRID, value), 1 - step / 4),
      ],
      [],
    );
    expect(asked).toMatchObject({ kind: 'segment', latent: { objectMap: sums[1] } });
    expect(kinds).toEqual(['region', 'region']);
    expect(run.result().objectMap).toEqual(sums[3]);
    // What a later worker begins again with has the maps from before.
    expect(before).toMatchObject({ stepsDone: 1, objectMap: sums[0] });
  });
});

describe('a denoiser of regions that maps the object', () => {
  it('marks the object where it evaluates, and nothing in a clean context', async () => {
    // Prepare
    const runs: { inputs: NetworkInputs; options: RunOptions }[] = [];
    const networks: NetworkRunner = {
      run: async (_, inputs, options = {}) => {
        runs.push({ inputs, options });
        const rows = (inputs['time'] as Tensor).shape[0]!;
        return { velocity: tensor([1, ...SHAPE], 0), object_map: tensor([rows, ...GRID], rows) };
      },
      gather: async () => {},
      release: async () => {},
      close: async () => {},
    };
    const { regions } = new OnnxDenoiser(networks, {
      latent: { channels: 2, frames: 3, height: 4, width: 4 },
      regions: { patch: [1, 2, 2], blocks: 1, heads: 1, headWidth: 2, trained: true },
      objectMask: { source: 'attention', dilation: 0 },
      files: {},
    } as unknown as ModelManifest);
    const text = (marks: number[]): TextCondition => ({
      states: tensor([2, 1], 0),
      mask: BigInt64Array.of(1n, 1n),
      objectTokens: Float32Array.from(marks),
    });
    const request = { latent: tensor(SHAPE, 0), time: 0.5, condition: text([0, 1]) };
    const free = text([0, 0]);

    // Act
    const { velocity, context } = await regions!.velocityAndContext(request, free, 3);
    await regions!.cleanContext(tensor(SHAPE, 0), [0], free, 3);
    const again = { ...request, latent: tensor(SHAPE, 0) };
    const alone = await context.velocity(again, [1], free, 1);

    // Assess
    const marked = runs.map(({ inputs }) => [...(inputs['object_tokens'] as Tensor).data]);
    expect(marked).toEqual([
      [0, 1, 0, 0],
      [0, 0],
      [0, 1],
    ]);
    expect(runs.map(({ options }) => options.outputs)).toEqual([
      ['velocity', 'object_map'],
      [],
      ['velocity', 'object_map'],
    ]);
    expect(velocity.objectMap).toEqual(tensor(GRID, 2));
    expect(alone.objectMap).toEqual(tensor(GRID, 1));
  });
});
