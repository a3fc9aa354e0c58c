import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standardNormalNoise } from '#core/latents/noise.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { checkDenoiser } from '#models/check/check-denoiser.ts';
import { checkNetwork } from '#models/check/check-network.ts';
import { madeUpSamples } from '#models/check/network-run.ts';
import { loadManifest, networkPaths, type ModelPackage } from '#models/manifest.ts';
import { OnnxDenoiser } from '#models/onnx-denoiser.ts';
import { OnnxNetworks } from '#models/onnx-networks.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import { sample } from '#models/sampler.ts';
import { planFor } from '../denoiser/fakes.ts';
import { EXPORTED_PACKAGE, linkedPackage } from './package-fixture.ts';

/** Of the package's latents; a token is a patch of [1,2,2] of their positions. */
const SHAPE = [16, 3, 4, 6];
const TOKENS = 18;

/** An object map has to be above it, as a share of its range: few positions are. */
const THRESHOLD = 0.95;

/** Token of an index of a latent's data. */
function tokenAt(index: number): number {
  const position = index % 72;
  const [frame, y, x] = [Math.floor(position / 24), Math.floor(position / 6) % 4, position % 6];
  return (frame * 2 + Math.floor(y / 2)) * 3 + Math.floor(x / 2);
}

describe('a package as the exporter writes it with regions and an object map', () => {
  let modelPackage: ModelPackage;
  let model: OnnxVideoModel;

  beforeAll(async () => {
    const folder = await linkedPackage(EXPORTED_PACKAGE, (manifest) => {
      manifest['objectMask'] = { source: 'attention', threshold: THRESHOLD };
    });
    modelPackage = await loadManifest(folder);
    model = await OnnxVideoModel.open(modelPackage);
  });

  afterAll(() => model.close());

  it('has a denoiser whose tokens alone have the velocity that they have among all', async () => {
    // Prepare
    const { manifest } = modelPackage;
    const networks = new OnnxNetworks(networkPaths(modelPackage));
    const samples = madeUpSamples(manifest, null, '');

    // Act
    const { findings } = await checkNetwork(modelPackage, 'denoiser', networks, samples);
    const conditions = [
      await model.encodeText('a red ball'),
      await model.encodeText(null),
    ] as const;
    findings.push(...(await checkDenoiser(networks, manifest, conditions)));
    await networks.close();

    // Assess
    expect(findings.map(({ check, result }) => [check, result])).toEqual([
      ['network denoiser', 'passed'],
      ['denoiser repeats', 'passed'],
      ['guidance', 'passed'],
      ['object map', 'passed'],
      ['regions', 'passed'],
    ]);
    expect(findings.at(-1)!.detail).toMatch(/^9 of 18 tokens alone/);
  });

  it('gives no keys and values where they are not kept', async () => {
    // Prepare
    const { manifest } = modelPackage;
    const networks = new OnnxNetworks(networkPaths(modelPackage));
    const { regions } = new OnnxDenoiser(networks, manifest);
    const { states, mask } = await model.encodeText('a red ball');
    const inputs = {
      latent: { data: standardNormalNoise(SHAPE, 1, 'start').data, shape: [1, ...SHAPE] },
      time: { data: Float32Array.of(0.5), shape: [1] },
      text_states: { data: states.data, shape: [1, ...states.shape] },
      text_mask: { data: mask, shape: [1, mask.length] },
      object_tokens: { data: new Float32Array(mask.length), shape: [1, mask.length] },
      ...regions!.allTokens(1),
    };

    // Act
    await networks.run('denoiser', inputs, { outputs: ['velocity'], keep: { keys_1: 'keys' } });

    // Assess
    await expect(networks.gather(['keys'], 2, [0])).rejects.toThrow('[1, 2, 0, 12]');
    await networks.close();
  });

  it('denoises an object alone over the background of a donor', async () => {
    // Prepare
    const background: Tensor = standardNormalNoise(SHAPE, 2, 'start');
    const hole: Tensor = { data: new Float32Array(72), shape: SHAPE.slice(1) };
    const equivalents: number[] = [];
    const plan = planFor('background', [], { anchor: 'region', startTime: 0.9, steps: 5 });

    // Act
    const latent = await sample(
      model,
      plan,
      { object: null, background, hole },
      {
        latentShape: SHAPE,
        prompt: 'a red ball on the beach',
        guidance: modelPackage.manifest.scheduler.guidance,
        onStep: (_, done) => void equivalents.push(done),
      },
    );

    // Assess
    const changed = new Set<number>();
    for (const [index, value] of latent.data.entries()) {
      if (value !== background.data[index]) changed.add(tokenAt(index));
    }
    expect(changed.size).toBeGreaterThan(0);
    expect(changed.size).toBeLessThan(TOKENS);
    const share = changed.size / TOKENS;
    for (const [step, done] of [1, 2, 2 + share, 2 + 2 * share, 2 + 3 * share].entries()) {
      expect(equivalents[step]).toBeCloseTo(done, 10);
    }
  });
});
