import { resolve } from 'node:path';
import type { Finding } from '#models/check/finding.ts';
import { loadManifest, networkBytes, type ModelPackage } from '#models/manifest.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { errorLine, errorReport } from '../error-line.ts';
import { fittedTable } from '../fitted-table.ts';
import { size } from '../retention/amounts.ts';

export interface CheckModelOptions extends GlobalOptions {
  filesOnly?: boolean;
  json?: boolean;
}

/** Results in the table's words. */
const RESULTS = { passed: 'ok', failed: 'FAILED', skipped: 'skipped', remark: 'remark' } as const;

/** Checks a model package as the worker uses it; every check that fails is an error line, too. */
export async function checkModel(
  context: CliContext,
  directory: string,
  options: CheckModelOptions,
): Promise<ExitCode> {
  const path = resolve(context.workingDirectory, directory);
  const provider = options.provider ?? 'cpu';
  const findings: Finding[] = [];
  // onnxruntime is large: commands that do without it start without it.
  const { checkPackage, manifestFindings } = await import('#models/check/check-package.ts');
  let modelPackage: ModelPackage | null = null;
  try {
    modelPackage = await loadManifest(path, { files: [] });
  } catch (error) {
    findings.push(...manifestFindings(error));
  }
  if (modelPackage !== null) {
    const checkOptions = { executionProvider: provider, filesOnly: options.filesOnly === true };
    for await (const finding of checkPackage(modelPackage, checkOptions)) {
      findings.push(finding);
      context.progress?.write(`flexcache: ${finding.check}: ${RESULTS[finding.result]}\n`);
    }
  }
  const failures = findings.filter(({ result }) => result === 'failed');
  if (options.json === true) {
    context.stdout.write(`${JSON.stringify(report(path, provider, modelPackage, findings))}\n`);
  } else {
    context.stdout.write(table(findings, context.columns));
    if (modelPackage !== null) context.stdout.write(`${describeBytes(modelPackage)}\n`);
    for (const { check, error } of failures) {
      context.stderr.write(errorLine(errorReport(error), check));
    }
  }
  return failures.length === 0 ? EXIT.success : EXIT.failed;
}

function report(
  path: string,
  provider: string,
  modelPackage: ModelPackage | null,
  findings: readonly Finding[],
): object {
  return {
    path,
    provider,
    model:
      modelPackage === null
        ? null
        : {
            name: modelPackage.manifest.name,
            version: modelPackage.manifest.version,
            revision: modelPackage.revision,
            networkBytes: networkBytes(modelPackage.manifest),
          },
    passed: findings.every(({ result }) => result !== 'failed'),
    checks: findings.map(({ check, result, detail, error }) => ({
      check,
      result,
      detail,
      ...(error !== null && { error: errorReport(error) }),
    })),
  };
}

function table(findings: readonly Finding[], columns: number | undefined): string {
  const { text } = fittedTable<Finding>(
    [
      { head: 'check', align: 'left', rank: 1, cell: ({ check }) => check },
      { head: 'result', align: 'left', rank: 2, cell: ({ result }) => RESULTS[result] },
      { head: 'found', align: 'left', rank: 3, cell: ({ detail }) => detail, isCut: true },
    ],
    findings,
    columns,
  );
  return `${text}\n`;
}

function describeBytes({ manifest }: ModelPackage): string {
  const networks = Object.entries(networkBytes(manifest));
  const total = networks.reduce((sum, [, bytes]) => sum + bytes, 0);
  const each = networks.map(([name, bytes]) => `${name} ${size(bytes)}`).join(', ');
  return `weights: ${each}; ${size(total)} in all. What a run computes comes on top of it.`;
}
