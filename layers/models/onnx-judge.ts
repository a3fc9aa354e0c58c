import { FlexCacheError } from '#core/errors.ts';
import { judgements, logitCount, type JudgedAttribute } from '#core/planning/shown-attributes.ts';
import type { Tensor } from '#core/latents/tensor.ts';
import { networkPaths, type ModelPackage } from './manifest.ts';
import type { AttributeJudge } from './model.ts';
import { asBatch, pickOutput } from './network-call.ts';
import { NetworkThread } from './network-thread.ts';
import type { NetworkRunner, OnnxOptions } from './onnx-networks.ts';

/** The attribute judge of a package, in a worker thread. */
export class OnnxJudge implements AttributeJudge {
  readonly #networks: NetworkRunner;
  readonly #attributes: readonly JudgedAttribute[];

  constructor(networks: NetworkRunner, attributes: readonly JudgedAttribute[]) {
    this.#networks = networks;
    this.#attributes = attributes;
  }

  /** @throws FlexCacheError `model_missing` when the package brings no judge. */
  static open(modelPackage: ModelPackage, options: OnnxOptions = {}): OnnxJudge {
    const { judge } = networkPaths(modelPackage);
    const attributes = modelPackage.manifest.judge?.attributes;
    if (judge === undefined || attributes === undefined) {
      throw new FlexCacheError(
        'model_missing',
        `model package ${modelPackage.directory} has no attribute judge`,
        { field: 'judge', fix: 'evaluate with a package that brings a judge' },
      );
    }
    return new OnnxJudge(new NetworkThread({ judge }, options), attributes);
  }

  async judge(latent: Tensor): Promise<{ values: number[]; features: Float32Array }> {
    const outputs = await this.#networks.run('judge', { latent: asBatch(latent) });
    const shape = [1, logitCount(this.#attributes)];
    const logits = pickOutput(outputs, 'judge', 'logits', shape).data;
    const featureCount = outputs['features']?.shape[1] ?? 0;
    const features = pickOutput(outputs, 'judge', 'features', [1, featureCount]).data;
    const values = judgements(this.#attributes, logits).map(({ value }) => value);
    return { values, features };
  }

  close(): Promise<void> {
    return this.#networks.close();
  }
}
