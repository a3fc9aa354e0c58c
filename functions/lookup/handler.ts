import { FlexCacheError } from '#core/errors.ts';
import { executionName } from '#core/requests/identity.ts';
import { Lookup, type LookupStores } from '#lookup/lookup.ts';
import type { Table } from '#ports/table.ts';
import {
  deployedIndexSize,
  deployedModel,
  deployedObjects,
  deployedTable,
  deployedVectors,
  lazily,
  deployedRules,
} from '../shared/services.ts';
import { deployedTelemetry } from '../shared/deployed-telemetry.ts';
import type { LookupInput, LookupOutput } from '../shared/states.ts';
import { StepMeter } from '../shared/step-meter.ts';
import { withTaskErrors } from '../shared/task-error.ts';
import { observed, type Telemetry } from '../shared/telemetry.ts';

/** What is asked of the stores: a batch that is only asked about answers with stores of its own. */
export interface LookupServices extends LookupStores {
  table: LookupStores['table'] & Pick<Table, 'getJob' | 'recordUsage'>;
  /** Says nothing unless given. */
  telemetry?: Telemetry;
}

/**
 * Finds what a request may start from, leases it, and says what will be done.
 *
 * @throws FlexCacheError `cancelled` when the job was; `not_found` as `Lookup.plan`.
 */
export function createLookupHandler(
  services: LookupServices,
): (input: LookupInput) => Promise<LookupOutput> {
  const { table, telemetry } = services;
  return withTaskErrors(({ request, embed }) =>
    StepMeter.run('lookup', services, request.videoId, async (meter) => {
      const { videoId } = request;
      const job = await table.getJob(videoId);
      meter.attempt = job?.attempt ?? null;
      if (job?.cancelRequested) {
        throw new FlexCacheError(
          'cancelled',
          'the request was cancelled before donors were looked up',
        );
      }
      const attempt = job?.attempt ?? 1;
      const holder = executionName(videoId, attempt);
      const lookup = new Lookup(services, request, embed.embedding, holder);
      const plan = await lookup.plan();
      const { neighbours, conflicts } = lookup;
      if (conflicts > 0) telemetry?.measure({ leaseConflicts: conflicts }, {});
      const { seconds } = meter;
      await meter.enter();
      return {
        plan,
        ...(attempt > 1 && { attempt }),
        ...(neighbours !== null && { neighbours }),
        seconds,
        usage: meter.usage(),
      };
    }),
  );
}

export const handler = lazily(async () => {
  const telemetry = deployedTelemetry();
  return observed(
    'lookup',
    telemetry,
    createLookupHandler({
      table: deployedTable(),
      vectors: deployedVectors({ size: deployedIndexSize() }),
      objects: deployedObjects(),
      ...(await deployedRules(await deployedModel())),
      telemetry,
    }),
  );
});
