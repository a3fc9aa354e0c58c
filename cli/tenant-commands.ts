import type { Command } from 'commander';
import { DEFAULT_TENANT } from '#local/default-tenant.ts';
import { createKey, listKeys, revokeKey } from './commands/keys.ts';
import { setTenantLimits, showTenant } from './commands/tenants.ts';
import type { CliContext, ExitCode } from './context.ts';

const TABLE = ['--table <name>', 'a deployed table instead of the state folder'] as const;
const TENANT = ['--tenant <name>', 'whose keys', DEFAULT_TENANT] as const;
const JSON_OBJECT = ['--json', 'print one JSON object'] as const;

/** Adds `keys` and `tenants`: who may call the API, and how much of it they may use. */
export function addTenantCommands(
  program: Command,
  context: CliContext,
  exitWith: (code: ExitCode) => void,
): void {
  const keys = program.command('keys').description('keys of the API');
  keys
    .command('create')
    .description('make a key, and its tenant when there is none; the key is shown this once')
    .requiredOption('--name <name>', 'what to call it')
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
    .description('let nobody in with this key any more')
    .argument('<id>')
    .option(...TENANT)
    .option(...TABLE)
    .option(...JSON_OBJECT)
    .action(async (id: string, _, command: Command) => {
      exitWith(await revokeKey(context, id, command.optsWithGlobals()));
    });

  const tenants = program.command('tenants').description('what tenants may use');
  tenants
    .command('show')
    .description('show the limits of a tenant and what it has used')
    .argument('<tenant>')
    .option('--secret', 'show what its webhooks are signed with, too')
    .option(...TABLE)
    .option(...JSON_OBJECT)
    .action(async (tenant: string, _, command: Command) => {
      exitWith(await showTenant(context, tenant, command.optsWithGlobals()));
    });
  tenants
    .command('set')
    .description('set limits of a tenant; those that are not given stay')
    .argument('<tenant>')
    .option('--requests-per-minute <n>', 'requests that make videos, or none for no limit')
    .option('--concurrent-jobs <n>', 'videos under way at once, or none')
    .option('--dollars-per-day <amount>', 'dollars a day (UTC), or none')
    .option(...TABLE)
    .option(...JSON_OBJECT)
    .action(async (tenant: string, _, command: Command) => {
      exitWith(await setTenantLimits(context, tenant, command.optsWithGlobals()));
    });
}
