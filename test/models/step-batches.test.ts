import { beforeEach, describe, expect, it } from 'vitest';
import type { Tensor } from '#core/latents/tensor.ts';
import type { FlowTime, TextCondition, VelocityRequest } from '#models/model.ts';
import { isBatch, StepBatches } from '#models/step-batches.ts';
import { FakeVideoModel, targetOf } from '../denoiser/fakes.ts';

/** Keeps what each call was asked for, and does not answer before it may. */
class GatedModel extends FakeVideoModel {
  readonly calls: { times: FlowTime[]; guidance: number }[] = [];
  gate: Promise<void> = Promise.resolve();

  override async velocities(
    requests: readonly VelocityRequest[],
    negative: TextCondition,
    guidance: number,
  ): Promise<Tensor[]> {
    this.calls.push({ times: requests.map(({ time }) => time), guidance });
    await this.gate;
    return super.velocities(requests, negative, guidance);
  }
}

describe('StepBatches', () => {
  let model: GatedModel;
  let condition: TextCondition;
  let negative: TextCondition;

  beforeEach(async () => {
    model = new GatedModel();
    condition = await model.encodeText('a red ball');
    negative = await model.encodeText(null);
  });

  const latentAt = (time: number): Tensor => targetOf(`noise ${time}`);

  /** Steps that are asked for while a first one is evaluated. */
  async function behindAFirst(
    batches: StepBatches,
    ask: () => Promise<Tensor>[],
  ): Promise<PromiseSettledResult<Tensor>[]> {
    const open = Promise.withResolvers<void>();
    model.gate = open.promise;
    const first = batches.velocity(latentAt(1), 1, condition, negative, 3);
    await expect.poll(() => model.calls.length).toBe(1);
    const asked = ask();
    model.gate = Promise.resolve();
    open.resolve();
    await first;
    return Promise.allSettled(asked);
  }

  it('evaluates what waits while the network is busy in one call, as each would be alone', async () => {
    // Prepare
    const batches = new StepBatches(model, 8);
    const times = [0.9, 0.5, 0.2];
    const step = (time: number): Promise<Tensor> =>
      batches.velocity(latentAt(time), time, condition, negative, 3);

    // Act
    const together = await behindAFirst(batches, () => times.map(step));

    // Assess
    expect(model.calls).toEqual([
      { times: [1], guidance: 3 },
      { times, guidance: 3 },
    ]);
    const alone = await Promise.all(
      times.map((time) => model.velocity(latentAt(time), time, condition, negative, 3)),
    );
    expect(together.map((ended) => ended.status === 'fulfilled' && ended.value)).toEqual(alone);
  });

  it('takes no more in one call than it was told, those that wait for the longest first', async () => {
    const batches = new StepBatches(model, 2);

    await behindAFirst(batches, () =>
      [0.9, 0.5, 0.2].map((time) => batches.velocity(latentAt(time), time, condition, negative, 3)),
    );

    expect(model.calls.map(({ times }) => times)).toEqual([[1], [0.9, 0.5], [0.2]]);
  });

  it('keeps apart what has another guidance or leads away from another text', async () => {
    // Prepare
    const batches = new StepBatches(model, 8);
    const other = await model.encodeText('');

    // Act
    await behindAFirst(batches, () => [
      batches.velocity(latentAt(0.9), 0.9, condition, negative, 3),
      batches.velocity(latentAt(0.8), 0.8, condition, negative, 5),
      batches.velocity(latentAt(0.7), 0.7, condition, other, 3),
      batches.velocity(latentAt(0.6), 0.6, condition, negative, 3),
    ]);

    // Assess
    expect(model.calls.slice(1)).toEqual([
      { times: [0.9, 0.6], guidance: 3 },
      { times: [0.8], guidance: 5 },
      { times: [0.7], guidance: 3 },
    ]);
  });

  it('fails the steps of a call that fails, and goes on with the others', async () => {
    // Prepare
    const batches = new StepBatches(model, 2);
    model.beforeStep = () => {
      if (model.calls.length === 2) throw new RangeError('boom');
    };

    // Act
    const ended = await behindAFirst(batches, () =>
      [0.9, 0.5, 0.2].map((time) => batches.velocity(latentAt(time), time, condition, negative, 3)),
    );

    // Assess
    expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});

it.each([
  [1, true],
  [64, true],
  [0, false],
  [65, false],
  [1.5, false],
  ['2', false],
])('a worker may make %j videos at once: %s', (batch, expected) => {
  expect(isBatch(batch)).toBe(expected);
});
