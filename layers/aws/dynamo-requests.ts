import { ConditionalCheckFailedException, type ConsumedCapacity } from '@aws-sdk/client-dynamodb';
import { fromAws } from './aws-errors.ts';
import { meterUse } from '#ports/usage-meter.ts';

/** Asks for what an answer is charged; indexes are in it. */
export const MEASURED = { ReturnConsumedCapacity: 'TOTAL' } as const;

interface Answer {
  ConsumedCapacity?: ConsumedCapacity | ConsumedCapacity[] | undefined;
}

/** A read, counted as the table says. @throws FlexCacheError */
export async function read<Output extends Answer>(
  doing: string,
  request: () => Promise<Output>,
): Promise<Output> {
  const answer = await send(doing, request);
  meterUnits('tableReadUnits', answer);
  return answer;
}

/** A write, counted as the table says. @throws FlexCacheError */
export async function write<Output extends Answer>(
  doing: string,
  request: () => Promise<Output>,
): Promise<Output> {
  const answer = await send(doing, request);
  meterUnits('tableWriteUnits', answer);
  return answer;
}

async function send<Output>(doing: string, request: () => Promise<Output>): Promise<Output> {
  try {
    return await request();
  } catch (error) {
    throw error instanceof ConditionalCheckFailedException ? error : fromAws(error, doing);
  }
}

/** A write; false when its condition did not hold. @throws FlexCacheError */
export async function ifConditionHolds(
  doing: string,
  request: () => Promise<Answer>,
): Promise<boolean> {
  try {
    await write(doing, request);
    return true;
  } catch (error) {
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
    // Charged by the size of the item, a unit at least, and the answer does not say how much.
    meterUse({ tableWriteUnits: 1, unmeasuredRequests: 1 });
    return false;
  }
}

function meterUnits(
  field: 'tableReadUnits' | 'tableWriteUnits',
  { ConsumedCapacity: consumed }: Answer,
): void {
  const parts = [consumed ?? []].flat();
  const units = parts.reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0);
  meterUse(parts.length === 0 ? { unmeasuredRequests: 1 } : { [field]: units });
}
