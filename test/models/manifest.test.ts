import { rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compatibilityKey } from '#core/requests/identity.ts';
import { EMBEDDER_FILES, compatibilityOf, loadManifest, networkPaths } from '#models/manifest.ts';
import { VERIFIED_FILE, verifyPackage } from '#models/verify-package.ts';
import {
  DEMO_PACKAGE,
  temporaryDirectory,
  writeDeclared,
  writePackage,
} from './package-fixture.ts';

const DENOISER_PATH = ['files', 'denoiser', '0', 'path'];

const OF_FRAMES = {
  source: 'frames',
  height: 8,
  width: 8,
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};

const SEGMENTED_ABOVE = { source: 'segmenter', threshold: 0.5 };

describe('loadManifest', () => {
  it('accepts the demo package and verifies every byte of it', async () => {
    // Act
    const modelPackage = await loadManifest(DEMO_PACKAGE);
    await verifyPackage(modelPackage);

    // Assess
    expect(modelPackage.manifest.format).toBe('flexcache-model/2');
    expect(modelPackage.revision).toMatch(/^[0-9a-f]{64}$/);
  });

  it('says that a folder without a manifest is no model package', async () => {
    // Prepare
    const directory = await temporaryDirectory();

    // Act & Assess
    await expect(loadManifest(directory)).rejects.toMatchObject({
      code: 'model_missing',
      field: 'model.json',
      message: expect.stringContaining(directory),
      fix: expect.any(String),
    });
  });

  it('names the file that is missing', async () => {
    // Prepare
    const directory = await writePackage();
    await rm(join(directory, 'denoiser.onnx'));

    // Act & Assess
    await expect(loadManifest(directory)).rejects.toMatchObject({
      code: 'model_missing',
      field: join(directory, 'denoiser.onnx'),
      fix: expect.any(String),
    });
  });

  it('asks for no file but those that will be read', async () => {
    // Prepare
    const directory = await writePackage();
    await rm(join(directory, 'denoiser.onnx'));

    // Act
    const { revision } = await loadManifest(directory, { files: EMBEDDER_FILES });

    // Assess
    expect(revision).toMatch(/^[0-9a-f]{64}$/);
    await expect(loadManifest(directory, { files: ['denoiser'] })).rejects.toMatchObject({
      code: 'model_missing',
    });
  });

  it('names the file whose size is wrong and says both sizes', async () => {
    // Prepare
    const directory = await writePackage();
    await writeFile(join(directory, 'segmenter.onnx'), 'torn');

    // Act & Assess
    await expect(loadManifest(directory)).rejects.toMatchObject({
      code: 'model_corrupt',
      message: `model file ${join(directory, 'segmenter.onnx')} has 4 bytes, expected 20`,
    });
  });

  it.each([
    ['latent.channels', (m: never) => setField(m, ['latent', 'channels'], 0)],
    ['scheduler.type', (m: never) => setField(m, ['scheduler', 'type'], 'ddpm')],
    ['scheduler.shift', (m: never) => setField(m, ['scheduler', 'shift'], 0)],
    ['scheduler.sigmas', (m: never) => setField(m, ['scheduler', 'sigmas'], [0.9, 0])],
    ['scheduler.sigmas', (m: never) => setField(m, ['scheduler', 'sigmas'], [1, 0.5, 0.5, 0])],
    [
      'scheduler.sigmas',
      (m: never) => {
        setField(m, ['scheduler', 'shift'], 3);
        setField(m, ['scheduler', 'sigmas'], [1, 0]);
      },
    ],
    ['lookup.thresholds.object', (m: never) => setField(m, ['lookup', 'thresholds', 'object'], 2)],
    ['splitter.labels', (m: never) => setField(m, ['splitter', 'labels'], ['other'])],
    ['files.denoiser.0.path', (m: never) => setField(m, DENOISER_PATH, '../up.onnx')],
    ['files.denoiser.0.path', (m: never) => setField(m, DENOISER_PATH, '/etc/hosts')],
    ['files.denoiser', (m: never) => setField(m, ['files', 'denoiser'], [])],
    [
      'files.denoiser',
      (manifest: { files: { denoiser: object[] } }) =>
        manifest.files.denoiser.push({ path: 'data/weights', sha256: 'a'.repeat(64), bytes: 1 }),
    ],
    ['files.videoTower', (m: never) => setField(m, ['files', 'textTower'], undefined)],
    ['objectMask.threshold', (m: never) => setField(m, ['objectMask'], SEGMENTED_ABOVE)],
    [
      'objectMask.source',
      (m: never) => {
        setField(m, ['objectMask'], { source: 'segmenter' });
        setField(m, ['files', 'segmenter'], undefined);
      },
    ],
    ['files.frameSegmenter', (m: never) => setField(m, ['objectMask'], { source: 'frames' })],
    [
      'objectMask.extents',
      (m: never) => setField(m, ['objectMask'], { source: 'attention', extents: 'latent' }),
    ],
    ['files.imageTower', (m: never) => setField(m, ['videoVectors'], OF_FRAMES)],
    [
      'videoVectors.std',
      (m: never) => setField(m, ['videoVectors'], { ...OF_FRAMES, std: [1, 0, 1] }),
    ],
    [
      'videoVectors.source',
      (m: never) => {
        setField(m, ['videoVectors'], { source: 'latent' });
        setField(m, ['files', 'videoTower'], undefined);
      },
    ],
    [
      'files.imageTower',
      (m: never) => {
        setField(m, ['videoVectors'], OF_FRAMES);
        setField(m, ['files', 'imageTower'], [{ path: 'i', sha256: 'a'.repeat(64), bytes: 1 }]);
        removeTowers(m);
        setField(m, ['embedding'], undefined);
      },
    ],
    ['files.embedder', addEmbedder],
    [
      'files.embedderTokenizer',
      (m: never) => {
        addEmbedder(m);
        removeTowers(m);
        setField(m, ['files', 'embedderTokenizer'], undefined);
      },
    ],
    ['embedding.dimensions', (m: never) => setField(m, ['embedding'], undefined)],
    ['embedding.dimensions', removeTowers],
    [
      'embedding.maxTokens',
      (m: never) => {
        addEmbedder(m);
        removeTowers(m);
      },
    ],
    ['embedding.fixedLength', (m: never) => setField(m, ['embedding', 'fixedLength'], true)],
    [
      'splitter.labels',
      (m: never) => {
        removeTowers(m);
        setField(m, ['embedding'], undefined);
        setField(m, ['splitter'], { labels: ['object', 'background'] });
      },
    ],
    ['text', (m: never) => setField(m, ['text'], undefined)],
    ['format', (m: never) => setField(m, ['format'], 'flexcache-model/1')],
  ])('names the field %s when its value is wrong', async (field, change) => {
    // Prepare
    const directory = await writePackage(change as () => void);

    // Act & Assess
    await expect(loadManifest(directory)).rejects.toMatchObject({ code: 'model_corrupt', field });
  });

  it('says that a manifest is not JSON', async () => {
    // Prepare
    const directory = await writePackage();
    await writeFile(join(directory, 'model.json'), '{ "format": ');

    // Act & Assess
    await expect(loadManifest(directory)).rejects.toMatchObject({
      code: 'model_corrupt',
      message: expect.stringContaining('is not JSON'),
    });
  });

  it('does without the judge and the encoder', async () => {
    // Prepare
    const directory = await writePackage((manifest) => {
      delete manifest['judge'];
      delete manifest.files['judge'];
      delete manifest.files['vaeEncoder'];
    });

    // Act
    const paths = networkPaths(await loadManifest(directory));

    // Assess
    expect(paths.judge).toBeUndefined();
    expect(paths.vaeEncoder).toBeUndefined();
    expect(paths.denoiser).toBe(join(directory, 'denoiser.onnx'));
  });
});

describe('verifyPackage', () => {
  it('finds a flipped byte that left the size as it was', async () => {
    // Prepare
    const directory = await writePackage();
    await writeFile(join(directory, 'text-tower.onnx'), 'Content of textTower');
    const modelPackage = await loadManifest(directory);

    // Act & Assess
    await expect(verifyPackage(modelPackage)).rejects.toMatchObject({
      code: 'model_corrupt',
      field: join(directory, 'text-tower.onnx'),
      message: expect.stringContaining('sha256'),
    });
  });

  it('accepts the package after the file was repaired', async () => {
    // Prepare
    const directory = await writePackage();
    await writeFile(join(directory, 'text-tower.onnx'), 'Content of textTower');
    const modelPackage = await loadManifest(directory);
    await expect(verifyPackage(modelPackage)).rejects.toThrow();
    await writeFile(join(directory, 'text-tower.onnx'), 'content of textTower');

    // Act & Assess
    await expect(verifyPackage(modelPackage)).resolves.toBeUndefined();
  });
});

describe('verifyPackage of large files', () => {
  const large = { largeBytes: 1 };

  it('hashes external data too, and no file again that nobody wrote', async () => {
    const directory = await writePackage(async (manifest, folder) => {
      manifest.files['denoiser']!.push(
        await writeDeclared(folder, 'denoiser.onnx.data', 'weights'),
      );
    });
    const first = await loadManifest(directory);
    await verifyPackage(first, large);
    const memory = join(directory, VERIFIED_FILE);
    const { mtimeMs } = await stat(memory);

    // Another process: the memory of this one goes by the folder.
    const moved = `${directory}/.`;
    await verifyPackage({ ...first, directory: moved }, large);
    expect((await stat(memory)).mtimeMs).toBe(mtimeMs);

    await writeFile(join(directory, 'denoiser.onnx.data'), 'wEights');
    await expect(
      verifyPackage({ ...first, directory: `${directory}/./.` }, large),
    ).rejects.toMatchObject({
      code: 'model_corrupt',
      field: join(directory, 'denoiser.onnx.data'),
    });
  });

  it('hashes all of it where the memory is torn', async () => {
    const directory = await writePackage();
    await writeFile(join(directory, VERIFIED_FILE), '{"half');
    await writeFile(join(directory, 'text-tower.onnx'), 'Content of textTower');
    const modelPackage = await loadManifest(directory);
    await expect(verifyPackage(modelPackage, large)).rejects.toThrow('sha256');
  });
});

describe('the model revision', () => {
  it('changes with the content of any file and with nothing else', async () => {
    // Prepare
    const same = await loadManifest(await writePackage());
    const renamed = await loadManifest(
      await writePackage((manifest) => {
        manifest['name'] = 'another name';
      }),
    );
    const otherContent = await writePackage((manifest) => {
      manifest.files['denoiser']![0]!.sha256 = 'a'.repeat(64);
    });

    // Act
    const changed = await loadManifest(otherContent);

    // Assess
    expect(renamed.revision).toBe(same.revision);
    expect(changed.revision).not.toBe(same.revision);
  });

  it('yields a compatibility key that also changes with the guidance', async () => {
    // Prepare
    const one = await loadManifest(await writePackage());
    const other = await loadManifest(
      await writePackage((manifest) => setField(manifest, ['scheduler', 'guidance'], 5)),
    );

    // Act
    const keys = [one, other].map((each) => compatibilityKey(compatibilityOf(each)));

    // Assess
    expect(other.revision).toBe(one.revision);
    expect(keys[0]).not.toBe(keys[1]);
  });
});

/** The text tower as a sentence encoder beside itself. */
function addEmbedder(manifest: { files: Record<string, unknown> }): void {
  const { textTower, tokenizer } = manifest.files;
  Object.assign(manifest.files, { embedder: textTower, embedderTokenizer: tokenizer });
}

function removeTowers(manifest: { files: Record<string, unknown>; splitter?: unknown }): void {
  delete manifest.files['textTower'];
  delete manifest.files['videoTower'];
  delete manifest.splitter;
}

function setField(manifest: object, path: string[], value: unknown): void {
  let parent = manifest as Record<string, unknown>;
  for (const name of path.slice(0, -1)) parent = parent[name] as Record<string, unknown>;
  parent[path.at(-1)!] = value;
}
