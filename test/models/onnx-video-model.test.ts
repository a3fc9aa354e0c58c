import { beforeEach, describe, expect, it } from 'vitest';
import type { ModelManifest } from '#models/manifest.ts';
import type { NetworkRunner, NetworkTensors } from '#models/onnx-networks.ts';
import { OnnxVideoModel } from '#models/onnx-video-model.ts';
import type { PromptTokenizer } from '#models/tokenizer.ts';

const MAX_TOKENS = 512;
/** 8 MiB of states for a prompt, twice what the text encoder of a large model gives. */
const HIDDEN = 4096;

/** Answers with nothing but zeros, and writes down what was asked. */
class CountingNetworks implements NetworkRunner {
  encoded = 0;

  async run(): Promise<NetworkTensors> {
    this.encoded++;
    const shape = [1, MAX_TOKENS, HIDDEN];
    return { states: { data: new Float32Array(MAX_TOKENS * HIDDEN), shape } };
  }

  async gather(): Promise<void> {}

  async release(): Promise<void> {}

  async close(): Promise<void> {}
}

const tokenizer = {
  encode: () => ({ ids: new BigInt64Array(MAX_TOKENS), mask: new BigInt64Array(MAX_TOKENS) }),
} as unknown as PromptTokenizer;

const manifest = {
  text: { maxTokens: MAX_TOKENS, hidden: HIDDEN, negativePrompt: 'blurry' },
  latent: { channels: 2, frames: 3, height: 4, width: 4 },
  video: { frames: 4, height: 16, width: 16, framesPerSecond: 8 },
  files: {} as object,
} as ModelManifest;

describe('text states', () => {
  let networks: CountingNetworks;
  let model: OnnxVideoModel;

  beforeEach(() => {
    networks = new CountingNetworks();
    model = new OnnxVideoModel(networks, tokenizer, manifest);
  });

  it('are kept for prompts that come again, those used last, up to 64 MiB', async () => {
    // Prepare: seven of them fit, with their masks.
    const prompts = Array.from({ length: 7 }, (_, index) => `ball ${index}`);
    for (const prompt of prompts) await model.encodeText(prompt);
    for (const prompt of prompts) await model.encodeText(prompt);
    expect(networks.encoded).toBe(7);

    // Act: the oldest one leaves.
    await model.encodeText('one more');
    await model.encodeText(prompts[6]!);
    expect(networks.encoded).toBe(8);
    await model.encodeText(prompts[0]!);

    // Assess
    expect(networks.encoded).toBe(9);
  });

  it("of the package's negative prompt are kept whatever comes", async () => {
    // Prepare
    await model.encodeText(null);
    for (let index = 0; index < 20; index++) await model.encodeText(`ball ${index}`);
    const { encoded } = networks;

    // Act
    const [one, other] = [await model.encodeText(null), await model.encodeText('blurry')];

    // Assess
    expect(networks.encoded).toBe(encoded);
    expect(one).toBe(other);
  });

  it.each([null, 'a ball'])('of %j are asked for again after a failure', async (prompt) => {
    // Prepare
    const run = networks.run.bind(networks);
    networks.run = () => Promise.reject(new Error('lost'));
    await expect(model.encodeText(prompt)).rejects.toThrow('lost');
    networks.run = run;

    // Act & Assess
    expect((await model.encodeText(prompt)).states.shape).toEqual([MAX_TOKENS, HIDDEN]);
  });
});
