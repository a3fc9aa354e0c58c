import { InvalidInputError } from '#core/errors.ts';
import type { UsageRecord } from '#core/generation.ts';
import { EXECUTION_PROVIDERS, type ExecutionProvider } from '#models/onnx-networks.ts';

/** Names of the environment variables that the container reads. */
export const DENOISER_VARIABLES = {
  tableName: 'FLEXCACHE_TABLE_NAME',
  bucketName: 'FLEXCACHE_BUCKET_NAME',
  queueUrl: 'FLEXCACHE_QUEUE_URL',
  modelDirectory: 'FLEXCACHE_MODEL_DIRECTORY',
  executionProvider: 'FLEXCACHE_EXECUTION_PROVIDER',
  instanceType: 'FLEXCACHE_INSTANCE_TYPE',
  purchaseOption: 'FLEXCACHE_PURCHASE_OPTION',
  stopWhenEmpty: 'FLEXCACHE_STOP_WHEN_EMPTY',
} as const;

/** What the container is told by its task definition. */
export interface DenoiserEnvironment {
  tableName: string;
  bucketName: string;
  queueUrl: string;
  modelDirectory: string;
  /** `cuda` unless said. */
  executionProvider: ExecutionProvider;
  /** For the bill, e.g. `g6.xlarge`. */
  instanceType: string;
  /** For the bill; `on-demand` unless said. */
  purchaseOption: NonNullable<UsageRecord['purchaseOption']>;
  /** `true` in a batch job, which drains the queue and ends; a service waits for more. */
  stopWhenEmpty: boolean;
}

/** @throws InvalidInputError naming the variable that is missing or wrong. */
export function readDenoiserEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
): DenoiserEnvironment {
  const required = (name: string): string => {
    const value = variables[name];
    if (value !== undefined && value !== '') return value;
    throw new InvalidInputError(name, `environment variable ${name} is not set`, `set ${name}`);
  };
  const oneOf = <Value extends string>(
    name: string,
    values: readonly Value[],
    otherwise: Value,
  ): Value => {
    const given = variables[name] ?? otherwise;
    const value = values.find((candidate) => candidate === given);
    if (value !== undefined) return value;
    throw new InvalidInputError(
      name,
      `environment variable ${name} is "${given}"`,
      `use one of ${values.join(', ')}`,
    );
  };
  const names = DENOISER_VARIABLES;
  return {
    tableName: required(names.tableName),
    bucketName: required(names.bucketName),
    queueUrl: required(names.queueUrl),
    modelDirectory: required(names.modelDirectory),
    executionProvider: oneOf(names.executionProvider, EXECUTION_PROVIDERS, 'cuda'),
    instanceType: required(names.instanceType),
    purchaseOption: oneOf(names.purchaseOption, ['on-demand', 'spot'], 'on-demand'),
    stopWhenEmpty: oneOf(names.stopWhenEmpty, ['true', 'false'], 'false') === 'true',
  };
}
