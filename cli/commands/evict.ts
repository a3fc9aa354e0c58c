import { validateVideoId } from '#core/requests/request.ts';
import { parseCacheBudget } from '#local/cache-budget.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode, GlobalOptions } from '../context.ts';
import { withTable, type TenantOptions } from '../open-tenants.ts';
import { describeEviction } from '../retention/describe-eviction.ts';
import { describeExplanation } from '../retention/describe-explanation.ts';
import { explainerOf } from '../retention/explain.ts';
import { withRetention } from '../retention/with-retention.ts';

export interface EvictOptions extends GlobalOptions {
  dryRun?: boolean;
  /** Id of an entry. */
  explain?: string;
  /** Dollars a month. */
  budget?: string;
  json?: boolean;
}

/** Runs an eviction pass now; or explains why an entry stays or is evicted. */
export async function evict(context: CliContext, options: EvictOptions): Promise<ExitCode> {
  const { explain, budget, dryRun = false, json = false } = options;
  if (explain !== undefined) return explainVerdict(context, explain, options);
  const request = {
    isForced: true,
    isDryRun: dryRun,
    ...(budget !== undefined && { budgetUsd: parseCacheBudget(budget) }),
  };
  return withRetention(context, options, async (retention, signal) => {
    const outcome = await retention.evict({ ...request, signal });
    const text = json ? JSON.stringify(outcome) : describeEviction(outcome).join('\n');
    context.stdout.write(`${text}\n`);
    return signal.aborted ? EXIT.interrupted : EXIT.success;
  });
}

async function explainVerdict(
  context: CliContext,
  id: string,
  options: TenantOptions,
): Promise<ExitCode> {
  const entryId = validateVideoId(id);
  return withTable(context, options, 'read', async (opened) => {
    const explainer = await explainerOf(opened);
    const explanation = await explainer.ofId(entryId);
    const text = options.json
      ? JSON.stringify(explanation)
      : describeExplanation(explanation).join('\n');
    context.stdout.write(`${text}\n`);
    return EXIT.success;
  });
}
