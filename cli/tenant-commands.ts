import type { Command } from 'commander';
import { DEFAULT_TENANT } from '#local/default-tenant.ts';
import { createKey, listKeys, revokeKey } from './commands/keys.ts';
import { setTenantLimits, showTenant } from './commands/tenants.ts';
import type { CliContext, ExitCode } from './context.ts';

const TABLE = ['--table <name>', 'a deployed table instead of the state folder'] as const;
const TENANT = ['--tenant <name>', 'tenant of the keys', DEFAULT_TENANT] as const;
const JSON_OBJECT = ['--json', 'print one JSON object'] as const;

/** Adds `keys` and `tenants`: who may call the API, and how much of it they may use. */
export function addTenantCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  const keys = program.command('keys').description('manage API keys');
  keys
    .command('create')
    .description('create a key, and its tenant if it does not exist; the key is shown only once')
    .requiredOption('--name <name>', 'name of the key')
    .option(...TENANT)
    .option(...TABLE)
    .option(...JSON_OBJECT)
    .action(async (_, command: Command) => {
      exitWith(await createKey(context, command.optsWithGlobals()));
    });
  keys
    .command('ls')
    .description('list the keys of a tenant')
    .option(...TENANT)
    .option(...TABLE)
    .option('--json', 'print one JSON object a key')
    .action(async (_, command: Command) => {
      exitWith(await listKeys(context, command.optsWithGlobals()));
    });
  keys
    .command('revoke')
    .description('revoke a key')
    .argument('<id>')
    .option(...TENANT)
    .option(...TABLE)
    .option(...JSON_OBJECT)
    .action(async (id: string, _, command: Command) => {
      exitWith(await revokeKey(context, id, command.optsWithGlobals()));
    });

  const tenants = program.command('tenants').description('show and set the limits of tenants');
  tenants
    .command('show')
    .description('show the limits of a tenant and what it has used')
    .argument('<tenant>')
    .option('--secret', 'also show the secret that signs its webhooks')
    .option(...TABLE)
    .option(...JSON_OBJECT)
    .action(async (tenant: string, _, command: Command) => {
      exitWith(await showTenant(context, tenant, command.optsWithGlobals()));
    });
  tenants
    .command('set')
    .description('set limits of a tenant; others stay as they are')
    .argument('<tenant>')
    .option('--requests-per-minute <n>', 'video requests per minute, or none for no limit')
    .option('--concurrent-jobs <n>', 'concurrent videos, or none')
    .option('--dollars-per-day <amount>', 'dollars a day (UTC), or none')
    .option(...TABLE)
    .option(...JSON_OBJECT)
    .action(async (tenant: string, _, command: Command) => {
      exitWith(await setTenantLimits(context, tenant, command.optsWithGlobals()));
    });
}
