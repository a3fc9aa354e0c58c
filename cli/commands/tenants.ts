import { dayOf } from '#core/day.ts';
import { FlexCacheError, InvalidInputError } from '#core/errors.ts';
import { formatUsd, parseUsd } from '#core/pricing/money.ts';
import { validateTenant } from '#core/requests/request.ts';
import type { Tenant, TenantLimits } from '#core/requests/tenant.ts';
import type { TenantTable } from '#ports/tenants.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode } from '../context.ts';
import { withTenants, type TenantOptions } from '../open-tenants.ts';

export interface ShowTenantOptions extends TenantOptions {
  /** Shows what its webhooks are signed with, too. */
  secret?: boolean;
}

export interface SetLimitsOptions extends TenantOptions {
  requestsPerMinute?: string;
  concurrentJobs?: string;
  dollarsPerDay?: string;
}

/** How no limit is written. */
const NONE = 'none';

/** Shows what a tenant may use and what it has used today (UTC). */
export async function showTenant(
  context: CliContext,
  name: string,
  options: ShowTenantOptions,
): Promise<ExitCode> {
  const tenant = validateTenant(name);
  return withTenants(context, options, 'read', async (tenants) => {
    const found = await tenants.getTenant(tenant);
    if (found === null) {
      throw new FlexCacheError('not_found', `there is no tenant ${tenant}`, {
        field: 'tenant',
        fix: 'create a key for it first: flexcache keys create',
      });
    }
    await print(context, options, tenants, found);
    return EXIT.success;
  });
}

/** Sets the limits that are given and shows the tenant. */
export async function setTenantLimits(
  context: CliContext,
  name: string,
  options: SetLimitsOptions,
): Promise<ExitCode> {
  const tenant = validateTenant(name);
  const limits = limitsIn(options);
  return withTenants(context, options, 'change', async (tenants) => {
    await print(context, options, tenants, await tenants.setLimits(tenant, limits));
    return EXIT.success;
  });
}

function limitsIn(options: SetLimitsOptions): Partial<TenantLimits> {
  const { requestsPerMinute, concurrentJobs, dollarsPerDay } = options;
  const limits: Partial<TenantLimits> = {
    ...(requestsPerMinute !== undefined && {
      requestsPerMinute: countIn('requestsPerMinute', requestsPerMinute),
    }),
    ...(concurrentJobs !== undefined && {
      concurrentJobs: countIn('concurrentJobs', concurrentJobs),
    }),
    ...(dollarsPerDay !== undefined && {
      budgetPerDay: dollarsPerDay === NONE ? null : parseUsd(dollarsPerDay, 'dollarsPerDay'),
    }),
  };
  if (Object.keys(limits).length > 0) return limits;
  throw new InvalidInputError(
    'limits',
    'no limit is given',
    'give --requests-per-minute, --concurrent-jobs or --dollars-per-day',
  );
}

function countIn(field: string, text: string): number | null {
  if (text === NONE) return null;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidInputError(
    field,
    `${field} ${JSON.stringify(text)} is not a whole number`,
    `give a whole number, or ${NONE} for no limit`,
  );
}

async function print(
  { stdout }: CliContext,
  { json, secret }: ShowTenantOptions,
  tenants: TenantTable,
  tenant: Tenant,
): Promise<void> {
  const report = await tenantReport(tenants, tenant, secret ?? false);
  if (json) {
    stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }
  const names = Object.keys(report);
  const width = Math.max(...names.map((name) => name.length));
  for (const [name, value] of Object.entries(report)) {
    stdout.write(`${name.padEnd(width)}  ${value}\n`);
  }
}

async function tenantReport(
  tenants: TenantTable,
  { tenant, createdAt, webhookSecret, ...limits }: Tenant,
  showsSecret: boolean,
) {
  const today = dayOf(new Date().toISOString());
  const budget = limits.budgetPerDay;
  return {
    tenant,
    createdAt,
    requestsPerMinute: shownLimit(limits.requestsPerMinute),
    concurrentJobs: shownLimit(limits.concurrentJobs),
    dollarsPerDay: shownLimit(typeof budget === 'bigint' ? formatUsd(budget) : budget),
    placesTaken: (await tenants.listPlaces(tenant)).length,
    dollarsToday: formatUsd(await tenants.getSpending(tenant, today)),
    ...(showsSecret && { webhookSecret }),
  };
}

/** What was never set follows the deployment. */
function shownLimit<Value>(limit: Value | null | undefined): Value | 'none' | 'default' {
  if (limit === undefined) return 'default';
  return limit ?? NONE;
}
