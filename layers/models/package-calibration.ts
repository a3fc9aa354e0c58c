import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CALIBRATION_FILE,
  parseCalibration,
  type CalibrationFile,
} from '#core/planning/calibration-file.ts';
import {
  DefaultCalibration,
  type Calibration,
  type SimilarityThresholds,
} from '#core/planning/calibration.ts';
import { FlexCacheError } from '#core/errors.ts';
import { PackageCalibration } from '#core/planning/package-calibration.ts';
import { lookupTraits } from './lookup-traits.ts';
import type { ModelManifest, ModelPackage } from './manifest.ts';
import { missingToMeasure } from './measurable.ts';

/** What hits of a package may start from, and where that was read. */
export interface LoadedCalibration {
  calibration: Calibration;
  /** Null without a file: then `calibration` has the conservative points of `DefaultCalibration`. */
  file: { path: string; digest: string; createdAt: string; content: CalibrationFile } | null;
  /** Of the file, else of the manifest, else by default. */
  thresholds: SimilarityThresholds;
  /** What to do where there is no file. */
  advice: string;
}

/**
 * The calibration of a package: of `calibration.json` beside its `model.json`, or the conservative
 * default where there is none.
 *
 * @throws FlexCacheError `model_corrupt` naming the field, when the file is wrong, was measured on
 * another model revision, or on full generations of other steps or of another solver than the
 * package's, or has plans for a region that the denoiser cannot run. A stale file is not passed over: its package would run otherwise than was measured.
 */
export async function loadCalibration(modelPackage: ModelPackage): Promise<LoadedCalibration> {
  const path = join(modelPackage.directory, CALIBRATION_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw unreadable(path, error);
    return {
      calibration: defaultCalibration(modelPackage),
      file: null,
      thresholds: lookupTraits(modelPackage.manifest).thresholds,
      advice: adviceFor(modelPackage.manifest),
    };
  }
  return calibrationIn(modelPackage, path, text);
}

/** The same of the text of a file. */
export function calibrationIn(
  { manifest, revision }: Pick<ModelPackage, 'manifest' | 'revision'>,
  path: string,
  text: string,
): LoadedCalibration {
  const content = parseCalibration(path, text, revision);
  const { steps, solver } = manifest.scheduler;
  if (content.full.steps !== steps || content.full.solver !== solver) {
    const { full } = content;
    throw new FlexCacheError(
      'model_corrupt',
      `${path} was measured against full generations of ${full.steps} evaluations (${full.solver}), model.json has ${steps} (${solver})`,
      {
        field: 'full',
        fix: `set scheduler.steps to ${full.steps} and scheduler.solver to ${full.solver} in model.json, or ${CALIBRATE}`,
      },
    );
  }
  const { regions } = manifest;
  if (regions?.trained !== true) {
    const index = content.plans.findIndex(
      ({ anchor }) => anchor === 'place' || (anchor === 'region' && regions === undefined),
    );
    if (index >= 0) {
      throw new FlexCacheError(
        'model_corrupt',
        `${path}: plan ${index} denoises a region, and the package's denoiser ${regions === undefined ? 'takes whole latents only' : 'was not trained for regions'}`,
        {
          field: `plans.${index}.anchor`,
          fix: `export the denoiser with regions and say so in model.json, or ${CALIBRATE}`,
        },
      );
    }
  }
  const { createdAt } = content;
  return {
    calibration: new PackageCalibration(content),
    file: { path, digest: digestOf(text), createdAt, content },
    thresholds: content.thresholds,
    advice: adviceFor(manifest),
  };
}

/** A line of a log that says by what hits are decided. */
export function calibrationEvent({ file, advice }: Pick<LoadedCalibration, 'file' | 'advice'>): {
  level: 'info' | 'warn';
  event: 'calibration';
  [detail: string]: unknown;
} {
  if (file !== null) {
    return { level: 'info', event: 'calibration', digest: file.digest, createdAt: file.createdAt };
  }
  return {
    level: 'warn',
    event: 'calibration',
    digest: null,
    message: NOT_CALIBRATED,
    fix: advice,
  };
}

/** What is said of a package that brings no calibration. */
export const NOT_CALIBRATED = 'none: conservative start points, not measured on this model';

const CALIBRATE = 'run `npx flexcache calibrate` on the package';

function adviceFor(manifest: ModelManifest): string {
  const missing = missingToMeasure(manifest);
  if (missing.length === 0) return CALIBRATE;
  return `it cannot be calibrated without ${missing.map(({ name }) => name).join(', and ')}: set lookup.thresholds in model.json where the thresholds are wrong`;
}

export function defaultCalibration({ manifest }: Pick<ModelPackage, 'manifest'>): Calibration {
  return new DefaultCalibration(lookupTraits(manifest).thresholds, manifest.scheduler.solver);
}

/** Of a calibration file, for logs and reports: the first 16 hexadecimal digits of its sha256. */
function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function unreadable(path: string, error: unknown): FlexCacheError {
  return new FlexCacheError('model_corrupt', `${path} cannot be read`, {
    field: CALIBRATION_FILE,
    fix: 'let this user read the file, or remove it',
    cause: error,
  });
}
