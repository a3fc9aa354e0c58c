import { createHash } from 'node:crypto';
import { copyFile, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkDenoiser } from '#models/check/check-denoiser.ts';
import { checkEmbedder } from '#models/check/check-embedder.ts';
import { checkNetwork } from '#models/check/check-network.ts';
import { externalDataOf } from '#models/check/external-data.ts';
import type { Finding } from '#models/check/finding.ts';
import { madeUpSamples } from '#models/check/network-run.ts';
import {
  loadManifest,
  networkPaths,
  type DeclaredFile,
  type ModelManifest,
  type NetworkName,
} from '#models/manifest.ts';
import { OnnxNetworks } from '#models/onnx-networks.ts';
import { inProcess } from '../cli/harness.ts';
import { temporaryFolder } from '../temporary-folder.ts';
import { onnxFile, type OnnxGraph } from './onnx-writer.ts';
import { DEMO_PACKAGE, leaveOutLookup, linkedDemoPackage } from './package-fixture.ts';
import { findInFrames, lookAtFrames, writeTinyPackage } from './tiny-package.ts';

const LATENT = [16, 8, 16, 16];
const MASK = [8, 16, 16];

/** The demo package in a folder of its own, whose files may be replaced one by one. */
async function copyOfDemo(): Promise<{ folder: string; manifest: ModelManifest }> {
  const folder = await linkedDemoPackage(() => {});
  const text = await readFile(join(folder, 'model.json'), 'utf8');
  return { folder, manifest: JSON.parse(text) as ModelManifest };
}

async function writeManifest(folder: string, manifest: object): Promise<void> {
  await writeFile(join(folder, 'model.json'), JSON.stringify(manifest));
}

/** Puts other bytes in the place of a network's graph, and declares them unless they are to be found out. */
async function replaceGraph(
  { folder, manifest }: { folder: string; manifest: ModelManifest },
  network: NetworkName,
  content: Buffer,
): Promise<void> {
  const [graph] = manifest.files[network]! as [DeclaredFile];
  await rm(join(folder, graph.path));
  await writeFile(join(folder, graph.path), content);
  graph.bytes = content.length;
  graph.sha256 = createHash('sha256').update(content).digest('hex');
  await writeManifest(folder, manifest);
}

/** What is found of one network of a package whose files are as declared. */
async function findingsOf(folder: string, network: NetworkName): Promise<Finding[]> {
  const modelPackage = await loadManifest(folder);
  const networks = new OnnxNetworks(networkPaths(modelPackage));
  const samples = madeUpSamples(modelPackage.manifest, null, '');
  const { findings } = await checkNetwork(modelPackage, network, networks, samples);
  await networks.close();
  return findings;
}

/** Of the demo package with another graph for one network. */
async function findingsWith(network: NetworkName, graph: OnnxGraph): Promise<Finding[]> {
  const copy = await copyOfDemo();
  await replaceGraph(copy, network, onnxFile(graph));
  return findingsOf(copy.folder, network);
}

/** Sums channels and applies an operator to the sum. */
function segmenter(operator: string, batch: number | string = 'batch'): OnnxGraph {
  return {
    inputs: [{ name: 'latent', shape: [batch, ...LATENT] }],
    outputs: [{ name: 'mask_logits', shape: [batch, ...MASK] }],
    constants: { axes: [1] },
    nodes: [
      {
        operator: 'ReduceSum',
        inputs: ['latent', 'axes'],
        outputs: ['sum'],
        attributes: { keepdims: 0 },
      },
      { operator, inputs: ['sum'], outputs: ['mask_logits'] },
    ],
  };
}

const DENOISER_INPUTS = [
  { name: 'latent', shape: ['batch', ...LATENT] },
  { name: 'time', shape: ['batch'] },
  { name: 'text_states', shape: ['batch', 32, 256] },
  { name: 'text_mask', type: 'int64', shape: ['batch', 32] },
] as const;

/** What is found of a denoiser of whole latents, where it is one of first images with a time for each frame. */
async function denoiserFindings(
  nodes: OnnxGraph['nodes'],
  { takesImages = false } = {},
): Promise<Finding[]> {
  const copy = await copyOfDemo();
  delete copy.manifest.regions;
  if (takesImages) copy.manifest.files.imageEncoder = copy.manifest.files.vaeEncoder;
  const graph = {
    inputs: DENOISER_INPUTS.map((input) =>
      takesImages && input.name === 'time' ? { name: 'time', shape: ['batch', 8] } : input,
    ),
    outputs: [{ name: 'velocity', shape: ['batch', ...LATENT] }],
    constants: { axes: [1, 3, 4] },
    nodes,
  };
  await replaceGraph(copy, 'denoiser', onnxFile(graph));
  const modelPackage = await loadManifest(copy.folder);
  const networks = new OnnxNetworks(networkPaths(modelPackage));
  const { conditions } = madeUpSamples(modelPackage.manifest, null, '');
  const findings = await checkDenoiser(networks, modelPackage.manifest, conditions);
  await networks.close();
  return findings;
}

describe('flexcache model check', () => {
  test('passes the demo package, every part of it, and says what each check found', async () => {
    const { flexcache } = await inProcess();

    const { exitCode, stdout, stderr } = await flexcache('model', 'check', DEMO_PACKAGE, '--json');

    const report = JSON.parse(stdout);
    expect(report.checks.filter(({ result }: Finding) => result !== 'passed')).toEqual([]);
    expect(report).toMatchObject({ passed: true, provider: 'cpu', model: { name: 'demo-world' } });
    expect(report.model.networkBytes.denoiser).toBe(18832493);
    expect(report.checks.map(({ check }: Finding) => check)).toEqual([
      'manifest',
      ...['tokenizer.json', 'text-encoder.onnx', 'denoiser.onnx', 'vae-decoder.onnx'].map(
        (file) => `file ${file}`,
      ),
      ...[
        'vae-encoder.onnx',
        'segmenter.onnx',
        'text-tower.onnx',
        'video-tower.onnx',
        'judge.onnx',
      ].map((file) => `file ${file}`),
      'tokenizer',
      'calibration',
      'network textEncoder',
      'network denoiser',
      'denoiser repeats',
      'guidance',
      'regions',
      ...['vaeDecoder', 'vaeEncoder', 'segmenter', 'textTower', 'videoTower', 'judge'].map(
        (name) => `network ${name}`,
      ),
      'worker',
    ]);
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
  });

  test('names each file that is missing, torn or altered, with what to do, and runs none of it', async () => {
    const { flexcache } = await inProcess();
    const { folder } = await copyOfDemo();
    await rm(join(folder, 'tokenizer.json'));
    await rm(join(folder, 'denoiser.onnx'));
    await copyFile(join(DEMO_PACKAGE, 'denoiser.onnx'), join(folder, 'denoiser.onnx'));
    await truncate(join(folder, 'denoiser.onnx'), 1000);
    const altered = await readFile(join(DEMO_PACKAGE, 'judge.onnx'));
    altered[altered.length - 1]! ^= 1;
    await rm(join(folder, 'judge.onnx'));
    await writeFile(join(folder, 'judge.onnx'), altered);

    const { exitCode, stdout, stderr } = await flexcache('model', 'check', folder, '--files-only');

    expect(exitCode).toBe(1);
    const lines = stderr.split('\n');
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(
      /^flexcache: model_missing: file tokenizer\.json: .*tokenizer\.json cannot be read: fetch or export/,
    );
    expect(lines[1]).toMatch(
      /^flexcache: model_corrupt: file denoiser\.onnx: .*has 1000 bytes, expected 18832493: fetch/,
    );
    expect(lines[2]).toMatch(/^flexcache: model_corrupt: file judge\.onnx: .*has sha256 .*: fetch/);
    expect(stdout).toMatch(/file denoiser\.onnx +│ FAILED/);
    expect(stdout).toMatch(/tokenizer +│ skipped/);
    expect(stdout).toMatch(/networks +│ skipped/);
  });

  test('names every field of the manifest that is wrong, and one that there is not', async () => {
    const { flexcache } = await inProcess();
    const { folder, manifest } = await copyOfDemo();
    manifest.latent.channels = 0;
    manifest.scheduler.guidance = 0.5;
    await writeManifest(folder, { ...manifest, video: { ...manifest.video, fps: 8 } });

    const { exitCode, stdout } = await flexcache('model', 'check', folder, '--json');

    expect(exitCode).toBe(1);
    const { model, passed, checks } = JSON.parse(stdout);
    expect({ model, passed }).toEqual({ model: null, passed: false });
    expect(checks.map(({ error }: { error: object }) => error)).toMatchObject([
      { field: 'video.fps', fix: expect.stringMatching(/^remove video\.fps/) },
      { field: 'latent.channels', fix: expect.stringMatching(/^correct latent\.channels/) },
      { field: 'scheduler.guidance' },
    ]);
  });

  test('says what a package does without, and passes it', async () => {
    const { flexcache } = await inProcess();
    const folder = await linkedDemoPackage((manifest) => {
      leaveOutLookup(manifest);
      delete manifest.files['vaeEncoder'];
    });

    const { exitCode, stdout } = await flexcache('model', 'check', folder, '--files-only');

    expect(exitCode).toBe(0);
    const remarks = stdout.matchAll(/│ (?:no )?(\S.*?) +│ remark +│ (.*?) +│/g);
    expect(Object.fromEntries([...remarks].map(([, part, without]) => [part, without]))).toEqual({
      calibration: expect.stringContaining('conservative'),
      vaeEncoder: expect.stringContaining('into a latent'),
      'segmenter or objectMask': expect.stringContaining('exact or whole'),
      'textTower or embedder': expect.stringContaining('hashed words'),
      'videoTower or videoVectors': expect.stringContaining('not compared with prompts'),
      splitter: expect.stringContaining('parser of English'),
      'lookup.thresholds': expect.stringContaining('not measured'),
      judge: expect.stringContaining('similarity alone'),
    });
  });

  test('refuses a calibration of another revision', async () => {
    const { flexcache } = await inProcess();
    const { folder, manifest } = await copyOfDemo();
    await symlink(join(DEMO_PACKAGE, 'calibration.json'), join(folder, 'calibration.json'));
    delete manifest.files.vaeEncoder;
    await writeManifest(folder, manifest);

    const { exitCode, stderr } = await flexcache('model', 'check', folder, '--files-only');

    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^flexcache: model_corrupt: calibration: .*revision/);
  });
});

describe('a network', () => {
  test('that is torn, and declared as it is, is named with its file', async () => {
    const copy = await copyOfDemo();
    const whole = await readFile(join(DEMO_PACKAGE, 'segmenter.onnx'));
    await replaceGraph(copy, 'segmenter', whole.subarray(0, 5000));

    expect(await findingsOf(copy.folder, 'segmenter')).toMatchObject([
      {
        result: 'failed',
        error: {
          code: 'model_corrupt',
          field: join(copy.folder, 'segmenter.onnx'),
          fix: expect.stringContaining('export'),
        },
      },
    ]);
  });

  test('whose weights lie in a file that the manifest does not declare is refused, though it is there', async () => {
    const copy = await copyOfDemo();
    const graph = onnxFile({
      inputs: [{ name: 'latent', shape: ['batch', ...LATENT] }],
      outputs: [{ name: 'mask_logits', shape: ['batch', ...MASK] }],
      external: [{ name: 'weight', shape: [1], location: 'segmenter.weights' }],
      nodes: [{ operator: 'Mul', inputs: ['latent', 'weight'], outputs: ['mask_logits'] }],
    });
    await replaceGraph(copy, 'segmenter', graph);
    await writeFile(join(copy.folder, 'segmenter.weights'), Buffer.alloc(4));

    const [finding] = await findingsOf(copy.folder, 'segmenter');

    expect(finding).toMatchObject({ result: 'failed', error: { field: 'files.segmenter' } });
    expect(finding!.error!.fix).toMatch(/add segmenter\.weights .* files\.segmenter/);
  });

  test('with other names, extents or types is told from what it has to be', async () => {
    const copy = await copyOfDemo();
    copy.manifest.text.maxTokens = 16;
    await writeManifest(copy.folder, copy.manifest);
    const float = onnxFile({
      inputs: [
        { name: 'input_ids', shape: ['batch', 16] },
        { name: 'attention_mask', type: 'int64', shape: ['batch', 16] },
        { name: 'position', shape: ['batch'] },
      ],
      outputs: [{ name: 'hidden', shape: ['batch', 16] }],
      nodes: [{ operator: 'Relu', inputs: ['input_ids'], outputs: ['hidden'] }],
    });

    const ofTower = await findingsOf(copy.folder, 'textTower');
    await replaceGraph(copy, 'textEncoder', float);
    const ofEncoder = await findingsOf(copy.folder, 'textEncoder');

    expect(ofTower.map(({ detail }) => detail)).toEqual([
      'network textTower has the input input_ids int64 [batch, 32], expected input_ids int64 [B, 16]',
      'network textTower has the input attention_mask int64 [batch, 32], expected attention_mask int64 [B, 16]',
      'network textTower has the output part_logits float32 [batch, 32, 3], expected part_logits float32 [B, 16, 3]',
    ]);
    expect(ofEncoder.map(({ detail }) => detail)).toEqual([
      'network textEncoder has the input input_ids float32 [batch, 16], expected input_ids int64 [B, 16]',
      'network textEncoder has no output states; it has hidden',
      'network textEncoder has an input position float32 [batch], which nothing is given to',
    ]);
    expect(ofTower[0]).toMatchObject({
      result: 'failed',
      error: {
        code: 'model_corrupt',
        field: 'files.textTower',
        fix: expect.stringContaining('export'),
      },
    });
  });

  test.each([
    [
      'numbers that are none',
      segmenter('Log'),
      /gave (NaN|-Infinity) in its output mask_logits/,
      /float32/,
    ],
    [
      'the batch of another worker',
      segmenter('Relu', 3),
      /takes a batch of 3 alone/,
      /dynamic batch/,
    ],
    [
      'another shape',
      {
        ...segmenter('Relu'),
        nodes: [{ operator: 'Relu', inputs: ['latent'], outputs: ['mask_logits'] }],
        outputs: [{ name: 'mask_logits', shape: ['batch', ...LATENT] }],
      },
      /mask_logits float32 \[batch, 16, 8, 16, 16\], expected mask_logits float32 \[B, 8, 16, 16\]/,
      /export/,
    ],
    [
      'rows that change each other',
      {
        ...segmenter('Relu'),
        constants: { axes: [1], rows: [0] },
        nodes: [
          { operator: 'ReduceSum', inputs: ['latent', 'rows'], outputs: ['mixed'] },
          { operator: 'Add', inputs: ['latent', 'mixed'], outputs: ['added'] },
          {
            operator: 'ReduceSum',
            inputs: ['added', 'axes'],
            outputs: ['mask_logits'],
            attributes: { keepdims: 0 },
          },
        ],
      },
      /another mask_logits for a row that is alone/,
      /rows do not mix/,
    ],
  ] as [string, OnnxGraph, RegExp, RegExp][])(
    'with %s is refused',
    async (_, graph, message, fix) => {
      const findings = await findingsWith('segmenter', graph);

      expect(findings).toMatchObject([{ result: 'failed', error: { field: 'files.segmenter' } }]);
      expect(findings[0]!.detail).toMatch(message);
      expect(findings[0]!.error!.fix).toMatch(fix);
    },
  );

  test('with vectors that are not of length 1 is refused', async () => {
    const findings = await findingsWith('videoTower', {
      inputs: [{ name: 'latent', shape: ['batch', ...LATENT] }],
      outputs: [{ name: 'embedding', shape: ['batch', 128] }],
      constants: { shape: [0, 256, 128], axes: [1] },
      nodes: [
        { operator: 'Reshape', inputs: ['latent', 'shape'], outputs: ['rows'] },
        {
          operator: 'ReduceSum',
          inputs: ['rows', 'axes'],
          outputs: ['embedding'],
          attributes: { keepdims: 0 },
        },
      ],
    });

    expect(findings[0]!.detail).toMatch(
      /network videoTower gave a vector of length \d+.*, expected 1/,
    );
  });
});

describe('a sentence encoder', () => {
  async function embedderFindings(embedding: object): Promise<Finding[]> {
    const folder = await linkedDemoPackage((manifest) => {
      const { textTower, tokenizer } = manifest.files;
      leaveOutLookup(manifest);
      Object.assign(manifest.files, { embedder: textTower, embedderTokenizer: tokenizer });
      manifest['embedding'] = embedding;
    });
    const modelPackage = await loadManifest(folder);
    const networks = new OnnxNetworks(networkPaths(modelPackage));
    const findings = await checkEmbedder(modelPackage, networks, 'cpu', ['a ball', 'a red star']);
    await networks.close();
    return findings;
  }

  test('embeds texts with the tokenizer of its own', async () => {
    const right = { dimensions: 128, maxTokens: 32, fixedLength: true };

    expect(await embedderFindings(right)).toMatchObject([
      { check: 'network embedder', result: 'passed', detail: expect.stringContaining('128') },
    ]);
    expect(await embedderFindings({ ...right, fixedLength: false })).toMatchObject([
      { detail: expect.stringMatching(/input input_ids int64 \[batch, 32\], expected .*tokens/) },
      { detail: expect.stringContaining('attention_mask') },
    ]);
  });
});

describe('a denoiser', () => {
  test('that adds noise of its own is refused', async () => {
    const [finding] = await denoiserFindings([
      { operator: 'RandomNormalLike', inputs: ['latent'], outputs: ['noise'] },
      { operator: 'Add', inputs: ['latent', 'noise'], outputs: ['velocity'] },
    ]);

    expect(finding).toMatchObject({ check: 'denoiser repeats', result: 'failed' });
    expect(finding!.error!.fix).toMatch(/evaluation mode/);
  });

  test('that does not read the prompt is refused; regions it need not have', async () => {
    const findings = await denoiserFindings([
      { operator: 'Neg', inputs: ['latent'], outputs: ['velocity'] },
    ]);

    expect(findings.map(({ check, result }) => `${check} ${result}`)).toEqual([
      'denoiser repeats passed',
      'guidance failed',
      'regions remark',
    ]);
    expect(findings[1]!.error!.fix).toMatch(/text_states/);
  });

  test('that takes first images has to read the time of each frame', async () => {
    const timed = [
      { operator: 'Unsqueeze', inputs: ['time', 'axes'], outputs: ['times'] },
      { operator: 'Add', inputs: ['latent', 'times'], outputs: ['velocity'] },
    ];
    const untimed = [{ operator: 'Neg', inputs: ['latent'], outputs: ['velocity'] }];
    const findingWith = async (nodes: OnnxGraph['nodes']) => {
      const findings = await denoiserFindings(nodes, { takesImages: true });
      return findings.find(({ check }) => check === 'first image')!;
    };

    const [read, unread] = [await findingWith(timed), await findingWith(untimed)];

    expect(read.result).toBe('passed');
    expect(unread).toMatchObject({ result: 'failed', error: { field: 'files.denoiser' } });
    expect(unread.error!.fix).toMatch(/time of each latent frame/);
  });
});

test('networks that look at frames pass, by themselves and in the worker', async () => {
  const { flexcache } = await inProcess();
  const folder = await writeTinyPackage((...all) => {
    findInFrames('pixels')(...all);
    lookAtFrames(...all);
  });

  const { exitCode, stdout } = await flexcache('model', 'check', folder, '--json');

  const { checks } = JSON.parse(stdout) as { checks: Finding[] };
  expect(exitCode).toBe(0);
  expect(checks.map(({ check, result }) => `${check} ${result}`)).toEqual(
    expect.arrayContaining([
      'network frameSegmenter passed',
      'network imageTower passed',
      'worker passed',
    ]),
  );
});

describe('a denoiser that maps the object', () => {
  /** Checks a tiny package whose object map is made by other nodes. */
  async function check(nodes: OnnxGraph['nodes'] | null): Promise<Finding[]> {
    const { flexcache } = await inProcess();
    const folder = await writeTinyPackage((_, { denoiser }) => {
      if (nodes === null) return;
      const others = denoiser!.nodes.filter(({ outputs }) => outputs[0] !== 'object_map');
      denoiser!.nodes = [...others, ...nodes];
    });
    const { stdout } = await flexcache('model', 'check', folder, '--json');
    return (JSON.parse(stdout) as { checks: Finding[] }).checks;
  }

  test('passes, by itself and in the worker', async () => {
    const checks = await check(null);

    expect(checks.filter(({ result }) => result === 'failed')).toEqual([]);
    expect(checks.map(({ check: name, result }) => `${name} ${result}`)).toEqual(
      expect.arrayContaining(['object map passed', 'worker passed']),
    );
  });

  test.each([
    [
      'does not read which tokens are marked',
      [
        { operator: 'Sigmoid', inputs: ['velocity'], outputs: ['shares'] },
        {
          operator: 'ReduceMean',
          inputs: ['shares', 'rows'],
          outputs: ['object_map'],
          attributes: { keepdims: 0 },
        },
      ],
      /whichever tokens were marked/,
    ],
    [
      'tells no place',
      [
        {
          operator: 'ReduceMean',
          inputs: ['marks', 'rows'],
          outputs: ['share'],
        },
        { operator: 'Expand', inputs: ['share', 'wide'], outputs: ['shares'] },
        { operator: 'Reshape', inputs: ['shares', 'grid'], outputs: ['object_map'] },
      ],
      /the same everywhere/,
    ],
    [
      'gives more than a share',
      [
        { operator: 'Add', inputs: ['marked', 'never'], outputs: ['too much'] },
        { operator: 'Reshape', inputs: ['too much', 'grid'], outputs: ['object_map'] },
      ],
      /expected 0 to 1/,
    ],
  ])('that %s is refused', async (_, nodes, message) => {
    const checks = await check(nodes);

    const [failure] = checks.filter(({ result }) => result === 'failed');
    expect(failure!.error).toMatchObject({
      code: 'model_corrupt',
      message: expect.stringMatching(message),
    });
  });
});

test('external data is found across the pieces that a graph is read in', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'graph.onnx');
  const names = ['a.data', `${'b'.repeat(300)}.data`];
  const graph = onnxFile({
    inputs: [],
    outputs: [],
    nodes: [],
    external: names.map((location) => ({ name: location, shape: [1], location })),
  });
  for (const before of [0, 2 ** 20 - 60, 2 ** 20 - 200]) {
    await writeFile(path, Buffer.concat([Buffer.alloc(before), graph]));
    expect([...(await externalDataOf(path))]).toEqual(names);
  }
});
