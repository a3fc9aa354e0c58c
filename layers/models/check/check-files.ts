import { posix, relative } from 'node:path';
import { FlexCacheError } from '#core/errors.ts';
import {
  MANIFEST_FILE,
  packageFilePath,
  packageFiles,
  type ModelPackage,
  type NetworkName,
  type PackageFileName,
} from '../manifest.ts';
import { inspectFiles } from '../verify-package.ts';
import { externalDataOf } from './external-data.ts';
import { failed, passed, type Finding } from './finding.ts';

/** Size and sha256 of each file, and to which entry of `files` one that differs belongs. */
export async function* checkFiles(
  modelPackage: ModelPackage,
): AsyncGenerator<{ finding: Finding; damaged: PackageFileName | null }> {
  for await (const { file, error } of inspectFiles(modelPackage)) {
    const check = `file ${relative(modelPackage.directory, file.path)}`;
    const finding =
      error === null
        ? passed(check, `${file.bytes} bytes, sha256 as declared`)
        : failed(check, error);
    yield { finding, damaged: error === null ? null : ownerOf(modelPackage, file.path) };
  }
}

function ownerOf(modelPackage: ModelPackage, path: string): PackageFileName {
  const names = Object.keys(modelPackage.manifest.files) as PackageFileName[];
  return names.find((name) =>
    packageFiles(modelPackage, [name]).some((file) => file.path === path),
  )!;
}

/**
 * Compares the external data that the graph of a network names with what the manifest declares. What is not
 * declared may be there, and is not wherever the package is fetched to.
 *
 * @throws FlexCacheError `model_corrupt` naming the file.
 */
export async function requireDeclaredData(
  modelPackage: ModelPackage,
  network: NetworkName,
): Promise<void> {
  const files = modelPackage.manifest.files[network] ?? [];
  const declared = new Set(files.map(({ path }) => path));
  const folder = posix.dirname(files[0]!.path);
  for (const name of await externalDataOf(packageFilePath(modelPackage, network)!)) {
    const path = posix.join(folder, name);
    if (declared.has(path)) continue;
    throw new FlexCacheError(
      'model_corrupt',
      `the graph of ${network} has weights in ${path}, which ${MANIFEST_FILE} does not declare`,
      {
        field: `files.${network}`,
        fix: `add ${path} with its sha256 and bytes to files.${network} in ${MANIFEST_FILE}, after the graph, or export the package again`,
      },
    );
  }
}
