import type { ObjectStore } from '#ports/objects.ts';
import type { ExecutionOutcome } from './embedded-machine.ts';

/** A child execution that has ended. */
export interface ChildRecord {
  name: string;
  input: unknown;
  outcome: ExecutionOutcome;
  startedAt: Date;
  stoppedAt: Date;
}

export interface MapResults {
  bucket: string;
  /** With the run's own folder. */
  prefix: string;
  /** State machine and label, as in the names of the children. */
  machine: string;
  mapRunArn: string;
  children: readonly ChildRecord[];
}

type ResultKind = 'SUCCEEDED' | 'FAILED' | 'PENDING';

/** What Step Functions counts as failed when it writes results: everything that did not succeed. */
function kindOf({ outcome }: ChildRecord): ResultKind {
  return outcome.status === 'SUCCEEDED' ? 'SUCCEEDED' : 'FAILED';
}

/**
 * Writes the results of a map run as the result writer of Step Functions does (`Transformation`
 * NONE), and returns the key of the manifest.
 */
export async function writeMapResults(
  objects: Pick<ObjectStore, 'put'>,
  { bucket, prefix, machine, mapRunArn, children }: MapResults,
): Promise<string> {
  const files: Record<ResultKind, { Key: string; Size: number }[]> = {
    FAILED: [],
    PENDING: [],
    SUCCEEDED: [],
  };
  for (const kind of ['SUCCEEDED', 'FAILED'] as const) {
    const records = children.filter((child) => kindOf(child) === kind);
    if (records.length === 0) continue;
    const key = `${prefix}/${kind}_0.json`;
    const body = jsonOf(records.map((child) => executionOf(machine, child)));
    await objects.put(key, body, { contentType: 'application/json' });
    files[kind].push({ Key: key, Size: body.byteLength });
  }
  const manifestKey = `${prefix}/manifest.json`;
  const manifest = { DestinationBucket: bucket, MapRunArn: mapRunArn, ResultFiles: files };
  await objects.put(manifestKey, jsonOf(manifest), { contentType: 'application/json' });
  return manifestKey;
}

function executionOf(machine: string, child: ChildRecord): object {
  const { name, input, outcome, startedAt, stoppedAt } = child;
  const included = { Included: true };
  const isSuccess = outcome.status === 'SUCCEEDED';
  return {
    ExecutionArn: `arn:aws:states:local:000000000000:execution:${machine}:${name}`,
    Input: JSON.stringify(input),
    InputDetails: included,
    Name: name,
    ...(isSuccess && { Output: JSON.stringify(outcome.output), OutputDetails: included }),
    ...(outcome.status === 'FAILED' && { Error: outcome.error, Cause: outcome.cause }),
    RedriveCount: 0,
    RedriveStatus: isSuccess ? 'NOT_REDRIVABLE' : 'REDRIVABLE',
    ...(isSuccess && {
      RedriveStatusReason: 'Execution is SUCCEEDED and cannot be redriven',
    }),
    StartDate: startedAt.toISOString(),
    StateMachineArn: `arn:aws:states:local:000000000000:stateMachine:${machine}`,
    Status: outcome.status,
    StopDate: stoppedAt.toISOString(),
  };
}

function jsonOf(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
