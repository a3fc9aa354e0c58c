import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { NetworkThread } from '#models/network-thread.ts';
import { OnnxNetworks, type NetworkTensors } from '#models/onnx-networks.ts';
import { temporaryDirectory, writeRelu } from './package-fixture.ts';

const INPUT: NetworkTensors = { x: { data: Float32Array.of(1, -2, 3, -4), shape: [1, 4] } };

describe('NetworkThread', () => {
  const threads: NetworkThread[] = [];

  function open(...parameters: ConstructorParameters<typeof NetworkThread>): NetworkThread {
    const thread = new NetworkThread(...parameters);
    threads.push(thread);
    return thread;
  }

  afterEach(async () => {
    await Promise.all(threads.splice(0).map((thread) => thread.close()));
  });

  it('runs a network and leaves the inputs to the caller', async () => {
    // Prepare
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });

    // Act
    const outputs = await thread.run('judge', INPUT);

    // Assess
    expect(outputs['y']).toEqual({ data: Float32Array.of(1, 0, 3, 0), shape: [1, 4] });
    expect(INPUT['x']!.data).toHaveLength(4);
  });

  it('keeps an output for inputs of later calls until it is released', async () => {
    // Prepare
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });
    const rows = { data: Float32Array.of(1, -2, 3, -4, 5, -6, 7, -8), shape: [2, 4] };

    // Act
    const first = await thread.run('judge', { x: rows }, { outputs: [], keep: { y: 'rectified' } });
    await thread.gather(['rectified'], 0, [1, 0, 1]);
    const second = await thread.run('judge', { x: { kept: 'rectified' } });
    await thread.release(['rectified']);

    // Assess
    expect(first).toEqual({});
    expect(second['y']).toEqual({
      data: Float32Array.of(5, 0, 7, 0, 1, 0, 3, 0, 5, 0, 7, 0),
      shape: [3, 4],
    });
    await expect(thread.run('judge', { x: { kept: 'rectified' } })).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('rectified'),
    });
  });

  it('gathers along an inner axis', async () => {
    // Prepare
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });
    const rows = { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), shape: [2, 4] };
    await thread.run('judge', { x: rows }, { outputs: [], keep: { y: 'rectified' } });

    // Act
    await thread.gather(['rectified'], 1, [3, 0, 0, 2]);
    const { y } = await thread.run('judge', { x: { kept: 'rectified' } });

    // Assess
    expect([...y!.data]).toEqual([4, 1, 1, 3, 8, 5, 5, 7]);
    await expect(thread.gather(['rectified'], 1, [4])).rejects.toMatchObject({ code: 'internal' });
  });

  it('stacks rows that never change, in the order of each call', async () => {
    // Prepare
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });
    const [one, other] = [
      { data: Float32Array.of(1, -2, 3, -4), shape: [4] },
      { data: Float32Array.of(5, 6, -7, -8), shape: [4] },
    ];

    // Act
    const stacks = await Promise.all(
      [[one, other], [other, one], [one]].map((constants) =>
        thread.run('judge', { x: { constants } }),
      ),
    );

    // Assess
    expect(stacks.map(({ y }) => y)).toEqual([
      { data: Float32Array.of(1, 0, 3, 0, 5, 6, 0, 0), shape: [2, 4] },
      { data: Float32Array.of(5, 6, 0, 0, 1, 0, 3, 0), shape: [2, 4] },
      { data: Float32Array.of(1, 0, 3, 0), shape: [1, 4] },
    ]);
    expect(one.data).toHaveLength(4);
  });

  it('sends constants once to each thread', async () => {
    // Prepare
    const thread = open({}, {}, new URL('./threads/counting-thread.ts', import.meta.url));
    const constants = [{ data: Float32Array.of(1), shape: [1] }];
    const sent = async (): Promise<number> =>
      (await thread.run('judge', { x: { constants } }))['added']!.data[0] as number;

    // Act
    const before = [await sent(), await sent()];
    await expect(thread.run('denoiser', {})).rejects.toThrow('exit code 7');
    const after = [await sent(), await sent()];

    // Assess
    expect(before).toEqual([1, 0]);
    expect(after).toEqual([1, 0]);
  });

  it('takes what is handed over without a copy, and lays it out anew in each call', async () => {
    // Prepare
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });
    const rows = [1, 5].map((value) => ({
      data: Float32Array.of(value, -2, 3, -4),
      shape: [1, 4],
    }));

    // Act
    const answers = await Promise.all(
      rows.map((handed) => thread.run('judge', { x: { handed, times: 2 } })),
    );

    // Assess
    expect(answers.map(({ y }) => [...y!.data])).toEqual([
      [1, 0, 3, 0, 1, 0, 3, 0],
      [5, 0, 3, 0, 5, 0, 3, 0],
    ]);
    expect(rows.map(({ data }) => data.length)).toEqual([0, 0]);
  });

  it('hands back only the outputs that are asked for', async () => {
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });

    await expect(thread.run('judge', INPUT, { outputs: ['y'] })).resolves.toHaveProperty('y');
    await expect(thread.run('judge', INPUT, { outputs: ['z'] })).rejects.toMatchObject({
      code: 'internal',
    });
  });

  it('answers many calls each with its own result', async () => {
    // Prepare
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });

    // Act
    const outputs = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        thread.run('judge', { x: { data: Float32Array.of(n, -n, 0, 1), shape: [1, 4] } }),
      ),
    );

    // Assess
    expect(outputs.map(({ y }) => y!.data[0])).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  it('keeps the code and the fix of an error inside the thread', async () => {
    // Prepare
    const thread = open({});

    // Act & Assess
    await expect(thread.run('denoiser', {})).rejects.toMatchObject({
      code: 'model_missing',
      field: 'files.denoiser',
      fix: expect.any(String),
    });
  });

  it('names a network file that onnxruntime cannot read', async () => {
    // Prepare
    const path = join(await temporaryDirectory(), 'denoiser.onnx');
    await writeFile(path, 'this is no network');
    const thread = open({ denoiser: path });

    // Act & Assess
    await expect(thread.run('denoiser', INPUT)).rejects.toMatchObject({
      code: 'model_corrupt',
      field: path,
    });
  });

  it('fails a call with wrong inputs and answers the next', async () => {
    // Prepare
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });

    // Act & Assess
    await expect(
      thread.run('judge', { x: { data: Float32Array.of(1), shape: [1, 1] } }),
    ).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('judge') });
    await expect(thread.run('judge', INPUT)).resolves.toHaveProperty('y');
  });

  it('says that a provider is missing instead of falling back to the cpu', async () => {
    // Prepare: the npm package of onnxruntime brings no CUDA.
    const thread = open(
      { judge: await writeRelu(await temporaryDirectory()) },
      { executionProvider: 'cuda' },
    );

    // Act & Assess
    await expect(thread.run('judge', INPUT)).rejects.toMatchObject({
      code: 'gpu_missing',
      field: 'executionProvider',
    });
  });

  it.each([
    ['exits', 'exiting-thread.ts', 'exit code 7'],
    ['throws', 'throwing-thread.ts', 'out of memory'],
  ])('fails every waiting call when the thread %s', async (_, file, message) => {
    // Prepare
    const thread = open({}, {}, new URL(`./threads/${file}`, import.meta.url));

    // Act
    const calls = await Promise.allSettled([
      thread.run('judge', INPUT),
      thread.run('judge', INPUT),
    ]);

    // Assess
    for (const call of calls) {
      expect(call).toMatchObject({
        status: 'rejected',
        reason: { code: 'internal', message: expect.stringContaining(message) },
      });
    }
  });

  it('starts another thread for the call after a crash', async () => {
    // Prepare
    const thread = open({}, {}, new URL('./threads/exiting-thread.ts', import.meta.url));
    await expect(thread.run('judge', INPUT)).rejects.toThrow('exit code 7');

    // Act & Assess: a call to the dead thread would wait for ever.
    await expect(thread.run('judge', INPUT)).rejects.toThrow('exit code 7');
  });

  it('fails a call that close interrupts, and every call after it', async () => {
    // Prepare
    const thread = open({ judge: await writeRelu(await temporaryDirectory()) });
    const interrupted = expect(thread.run('judge', INPUT)).rejects.toThrow('closed');

    // Act
    await thread.close();

    // Assess
    await interrupted;
    await expect(thread.run('judge', INPUT)).rejects.toThrow('closed');
  });
});

describe('OnnxNetworks', () => {
  it('gives the same numbers as the thread', async () => {
    // Prepare
    const networks = new OnnxNetworks({ judge: await writeRelu(await temporaryDirectory()) });

    // Act
    const outputs = await networks.run('judge', INPUT);
    await networks.close();

    // Assess
    expect(outputs['y']).toEqual({ data: Float32Array.of(1, 0, 3, 0), shape: [1, 4] });
  });
});
