import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { DefaultCalibration } from '#core/planning/calibration.ts';
import { loadManifest, modelRevision, type ModelPackage } from '#models/manifest.ts';
import { calibrationEvent, loadCalibration } from '#models/package-calibration.ts';
import { calibrationFile } from '../core/planning/calibration-fixture.ts';
import { leaveOutLookup, writePackage } from './package-fixture.ts';

/** A package with this text as its calibration. */
async function packageWith(text: (modelPackage: ModelPackage) => string): Promise<ModelPackage> {
  const modelPackage = await loadManifest(await writePackage());
  await writeFile(join(modelPackage.directory, 'calibration.json'), text(modelPackage));
  return modelPackage;
}

function measuredOn({ revision, manifest }: ModelPackage, change: object = {}): string {
  const { steps, solver } = manifest.scheduler;
  const full = { solver, steps, adherence: 0.97, frechet: 3000 };
  return JSON.stringify({
    ...calibrationFile({ modelRevision: revision, plans: [], full }),
    ...change,
  });
}

describe('loadCalibration', () => {
  it('reads the file beside the manifest, which leaves the revision as it is', async () => {
    const modelPackage = await packageWith((each) => measuredOn(each));
    const { calibration, file } = await loadCalibration(modelPackage);

    expect(calibration).toBeInstanceOf(PackageCalibration);
    expect(file).toMatchObject({
      path: join(modelPackage.directory, 'calibration.json'),
      digest: expect.stringMatching(/^[0-9a-f]{16}$/),
      createdAt: '2026-11-29T12:00:00.000Z',
    });
    expect((await loadManifest(modelPackage.directory)).revision).toBe(
      modelRevision(modelPackage.manifest),
    );
  });

  it('refuses plans for a region where the denoiser takes whole latents only', async () => {
    // Prepare
    const { directory } = await packageWith((each) => {
      const { similarity, frechet } = { similarity: 0.7, frechet: { mean: 0, low: 0, high: 0 } };
      return measuredOn(each, {
        plans: [
          {
            kind: 'background',
            similarity,
            startTime: 0.95,
            steps: 3,
            solver: each.manifest.scheduler.solver,
            anchor: 'region',
            equivalents: 1.5,
            loss: { adherence: null, frechet },
            samples: 512,
          },
        ],
      });
    });
    const modelPackage = await loadManifest(directory);
    const { regions, ...withoutRegions } = modelPackage.manifest;

    // Act & Assess
    expect(regions?.trained).toBe(true);
    await expect(loadCalibration(modelPackage)).resolves.toHaveProperty('file.content.plans');
    await expect(
      loadCalibration({ ...modelPackage, manifest: withoutRegions }),
    ).rejects.toMatchObject({ code: 'model_corrupt', field: 'plans.0.anchor' });
  });

  it('is conservative without a file, and says so', async () => {
    const loaded = await loadCalibration(await loadManifest(await writePackage()));

    expect(loaded.calibration).toBeInstanceOf(DefaultCalibration);
    expect(calibrationEvent(loaded)).toMatchObject({
      level: 'warn',
      digest: null,
      fix: expect.stringContaining('flexcache calibrate'),
    });
  });

  it('advises nobody to measure a package whose videos nothing looks at', async () => {
    const loaded = await loadCalibration(await loadManifest(await writePackage(leaveOutLookup)));

    expect(calibrationEvent(loaded)).toMatchObject({
      fix: expect.stringMatching(
        /cannot be calibrated without videoTower or videoVectors, and segmenter or objectMask/,
      ),
    });
    expect(loaded.thresholds).toEqual({ whole: 0.9, object: 0.9, background: 0.9 });
  });

  it.each<[string, (modelPackage: ModelPackage) => string, string]>([
    ['is cut', (each) => measuredOn(each).slice(0, -9), 'calibration.json'],
    ['was measured on another model', () => JSON.stringify(calibrationFile()), 'modelRevision'],
    [
      'was measured against other full generations',
      (each) =>
        measuredOn(each, { full: { solver: 'euler', steps: 77, adherence: 1, frechet: 1 } }),
      'full',
    ],
  ])('refuses a file that %s', async (_name, text, field) => {
    const modelPackage = await packageWith(text);
    await expect(loadCalibration(modelPackage)).rejects.toMatchObject({
      code: 'model_corrupt',
      field,
      fix: expect.stringContaining('flexcache calibrate'),
    });
  });
});
