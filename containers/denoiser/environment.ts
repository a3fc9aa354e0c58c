import { StorageClass } from '@aws-sdk/client-s3';
import { InvalidInputError } from '#core/errors.ts';
import type { UsageRecord } from '#core/generation.ts';
import { EXECUTION_PROVIDERS, type ExecutionProvider } from '#models/execution-provider.ts';
import { isBatch, MAX_BATCH } from '#models/step-batches.ts';
import { DEFAULT_HEALTH_FILE, DENOISER_VARIABLES } from './variables.ts';

/** Address of the instance metadata service on every EC2 instance. */
const METADATA_ENDPOINT = 'http://169.254.169.254';

/** What the container is told by its task definition. */
export interface DenoiserEnvironment {
  tableName: string;
  /** Of every object but those under `videos/`. */
  latentsBucket: string;
  videosBucket: string;
  /** S3 storage class of what is written; null is S3's own default. */
  storageClass: StorageClass | null;
  queueUrl: string;
  modelDirectory: string;
  /** `s3://bucket/prefix` of a package that is fetched into `modelDirectory` first; null when it is there already. */
  modelSource: string | null;
  /** Revision of the package that everything else was deployed with; null where nobody says. */
  modelRevision: string | null;
  /** `cuda` unless said. */
  executionProvider: ExecutionProvider;
  /** For the bill, e.g. `g6.xlarge`; null: the instance metadata service knows. */
  instanceType: string | null;
  /** For the bill; null: the instance metadata service knows. */
  purchaseOption: NonNullable<UsageRecord['purchaseOption']> | null;
  metadataEndpoint: string;
  /** A worker that dies gives its message back after this time; null is the worker's own default. */
  visibilitySeconds: number | null;
  /** `true` in a batch job, which drains the queue and ends; a service waits for more. */
  stopWhenEmpty: boolean;
  /** How long a drained queue must stay empty; null is the worker's own default. */
  idleSeconds: number | null;
  /** Messages that are worked on at once; 1 unless said. */
  batch: number;
  /** Of the ECS agent, which says so itself; null where the worker is no task of ECS. */
  agentUri: string | null;
  /** Touched while the worker gets on; `health.ts` looks at its age. */
  healthFile: string;
}

/** @throws InvalidInputError naming the variable that is missing or wrong. */
export function readDenoiserEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
): DenoiserEnvironment {
  const optional = (name: string): string | null => variables[name] || null;
  const required = (name: string): string => {
    const value = optional(name);
    if (value !== null) return value;
    throw new InvalidInputError(name, `environment variable ${name} is not set`, `set ${name}`);
  };
  const oneOf = <Value extends string>(name: string, values: readonly Value[]): Value | null => {
    const given = optional(name);
    const value = values.find((candidate) => candidate === given) ?? null;
    if (value !== null || given === null) return value;
    throw new InvalidInputError(
      name,
      `environment variable ${name} is "${given}"`,
      `use one of ${values.join(', ')}`,
    );
  };
  const seconds = (name: string): number | null => {
    const given = optional(name);
    if (given === null || (/^\d{1,5}$/.test(given) && Number(given) > 0)) {
      return given === null ? null : Number(given);
    }
    throw new InvalidInputError(
      name,
      `environment variable ${name} is "${given}"`,
      'give whole seconds, 1 to 99999',
    );
  };
  const batch = (name: string): number => {
    const given = optional(name) ?? '1';
    if (/^\d{1,3}$/.test(given) && isBatch(Number(given))) return Number(given);
    throw new InvalidInputError(
      name,
      `environment variable ${name} is "${given}"`,
      `give a whole number, 1 to ${MAX_BATCH}`,
    );
  };
  const names = DENOISER_VARIABLES;
  return {
    tableName: required(names.tableName),
    latentsBucket: required(names.latentsBucket),
    videosBucket: required(names.videosBucket),
    storageClass: oneOf(names.storageClass, Object.values(StorageClass)),
    queueUrl: required(names.queueUrl),
    modelDirectory: required(names.modelDirectory),
    modelSource: optional(names.modelSource),
    modelRevision: optional(names.modelRevision),
    executionProvider: oneOf(names.executionProvider, EXECUTION_PROVIDERS) ?? 'cuda',
    instanceType: optional(names.instanceType),
    purchaseOption: oneOf(names.purchaseOption, ['on-demand', 'spot']),
    metadataEndpoint: optional(names.metadataEndpoint) ?? METADATA_ENDPOINT,
    visibilitySeconds: seconds(names.visibilitySeconds),
    stopWhenEmpty: oneOf(names.stopWhenEmpty, ['true', 'false']) === 'true',
    idleSeconds: seconds(names.idleSeconds),
    batch: batch(names.batch),
    agentUri: optional(names.agentUri),
    healthFile: optional(names.healthFile) ?? DEFAULT_HEALTH_FILE,
  };
}
