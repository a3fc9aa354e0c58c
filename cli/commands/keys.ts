import Table from 'cli-table3';
import { newApiKey } from '#core/requests/api-key.ts';
import { validateTenant } from '#core/requests/request.ts';
import { newTenant, type ApiKey } from '#core/requests/tenant.ts';
import { EXIT } from '../context.ts';
import type { CliContext, ExitCode } from '../context.ts';
import { withTenants, type TenantOptions } from '../open-tenants.ts';

export interface KeyOptions extends TenantOptions {
  tenant: string;
}

/** Makes a key, and its tenant when there is none yet, and shows the key this once. */
export async function createKey(
  context: CliContext,
  options: KeyOptions & { name: string },
): Promise<ExitCode> {
  const tenant = validateTenant(options.tenant);
  const { key, record } = newApiKey({ tenant, name: options.name });
  return withTenants(context, options, 'create', async (tenants) => {
    const { webhookSecret } = await tenants.createTenant(newTenant(tenant));
    await tenants.createApiKey(record);
    const { stdout, stderr } = context;
    if (options.json) {
      stdout.write(`${JSON.stringify({ ...keyReport(record), key, webhookSecret })}\n`);
      return EXIT.success;
    }
    stdout.write(
      [
        `key             ${key}`,
        `id              ${record.keyId}`,
        `name            ${record.name}`,
        `tenant          ${tenant}`,
        `webhook secret  ${webhookSecret}`,
        '',
      ].join('\n'),
    );
    stderr.write('flexcache: keep the key now: only its hash is stored\n');
    return EXIT.success;
  });
}

/** Lists the keys of a tenant, newest first, revoked ones too. */
export async function listKeys(context: CliContext, options: KeyOptions): Promise<ExitCode> {
  const tenant = validateTenant(options.tenant);
  return withTenants(context, options, 'read', async (tenants) => {
    const keys = await tenants.listApiKeys(tenant);
    if (options.json) {
      for (const key of keys) context.stdout.write(`${JSON.stringify(keyReport(key))}\n`);
      return EXIT.success;
    }
    const table = new Table({
      head: ['id', 'name', 'key', 'made', 'revoked'],
      style: { head: [], border: [], compact: true },
    });
    for (const { keyId, name, prefix, createdAt, revokedAt } of keys) {
      table.push([keyId, name, `${prefix}...`, createdAt, revokedAt ?? '-']);
    }
    context.stdout.write(`${table.toString()}\n${keys.length} keys of ${tenant}\n`);
    return EXIT.success;
  });
}

/** From now on nobody gets in with this key. */
export async function revokeKey(
  context: CliContext,
  keyId: string,
  options: KeyOptions,
): Promise<ExitCode> {
  const tenant = validateTenant(options.tenant);
  return withTenants(context, options, 'change', async (tenants) => {
    const key = await tenants.revokeApiKey(tenant, keyId);
    context.stdout.write(
      options.json
        ? `${JSON.stringify(keyReport(key))}\n`
        : `revoked ${key.keyId} (${key.name}) of ${tenant}\n`,
    );
    return EXIT.success;
  });
}

/** A key without its hash, which nobody needs to see. */
function keyReport({ keyId, tenant, name, prefix, createdAt, revokedAt }: ApiKey) {
  return { id: keyId, tenant, name, prefix, createdAt, revokedAt: revokedAt ?? null };
}
