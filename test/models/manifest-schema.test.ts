import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { manifestJsonSchema } from '#models/manifest-schema.ts';
import { modelRevision, parseManifest } from '#models/manifest.ts';
import { DEMO_PACKAGE } from './package-fixture.ts';

const PUBLISHED = new URL('../../docs/model-package.schema.json', import.meta.url);

describe('the published schema of model.json', () => {
  const published = JSON.parse(readFileSync(PUBLISHED, 'utf8')) as object;
  const demo = JSON.parse(readFileSync(`${DEMO_PACKAGE}/model.json`, 'utf8'));

  test('is that of the reader: `npm run build:schema` writes it', () => {
    expect(published).toEqual(manifestJsonSchema());
  });

  test('takes the demo package, and refuses what the reader refuses', () => {
    const isValid = new Ajv2020({ strict: true }).compile(published);
    const changes: [Record<string, unknown>, boolean][] = [
      [{}, true],
      [{ $schema: PUBLISHED.href }, true],
      [{ version: undefined }, true],
      [{ format: 'flexcache-model/1' }, false],
      [{ fps: 8 }, false],
      [{ scheduler: { ...demo.scheduler, guidance: 0.5 } }, false],
      [{ files: { ...demo.files, denoiser: [] } }, false],
      [
        {
          files: {
            ...demo.files,
            tokenizer: [{ path: '../up.json', sha256: 'a'.repeat(64), bytes: 1 }],
          },
        },
        false,
      ],
    ];

    for (const [change, expected] of changes) {
      // As a file has it: what is undefined is not there.
      const manifest: unknown = JSON.parse(JSON.stringify({ ...demo, ...change }));
      expect(isValid(manifest), JSON.stringify(change)).toBe(expected);
    }
  });

  test('may be named in a manifest, whose revision stays', () => {
    const named = parseManifest('', JSON.stringify({ $schema: PUBLISHED.href, ...demo }));

    expect(modelRevision(named)).toBe(modelRevision(demo));
  });
});
