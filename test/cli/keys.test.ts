import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { expect, onTestFinished, test, vi } from 'vitest';
import { hashApiKey } from '#core/requests/api-key.ts';
import { openStateFolder } from '#local/state-folder.ts';
import { openTenants } from '#local/open-tenants.ts';
import { tableDefinition } from '#aws/table-definition.ts';
import { describeOnMoto } from '../describe-on-moto.ts';
import { motoClientOptions } from '../moto.ts';
import { unique } from '../aws/samples.ts';
import { inProcess } from './harness.ts';
import { withEmptyState } from './state-fixture.ts';

test('a key that was made opens its tenant, is listed without its secrets, and is revoked', async () => {
  const { flexcache, folder } = await inProcess();

  const made = await flexcache('keys', 'create', '--tenant', 'acme', '--name', 'laptop', '--json');
  const listed = await flexcache('keys', 'ls', '--tenant', 'acme', '--json');
  const { id, key, webhookSecret } = JSON.parse(made.stdout) as Record<string, string>;
  await using state = await openTenants(`${folder}/.flexcache`);
  const found = await state.tenants.findApiKey(hashApiKey(key!));
  const revoked = await flexcache('keys', 'revoke', id!, '--tenant', 'acme', '--json');

  expect(key).toMatch(/^sk-flex-[\w-]{43}$/);
  expect(webhookSecret).toMatch(/^whsec_/);
  expect(found).toMatchObject({ keyId: id, tenant: 'acme', name: 'laptop' });
  expect(JSON.parse(listed.stdout)).toMatchObject({ id, name: 'laptop', revokedAt: null });
  expect(listed.stdout).not.toContain(key!.slice(12));
  expect(listed.stdout).not.toContain(found!.hash);
  expect(JSON.parse(revoked.stdout)).toMatchObject({ id, revokedAt: expect.any(String) });
  expect(await state.tenants.findApiKey(hashApiKey(key!))).toBeNull();
});

test('for people the key stands first and the remark apart from it', async () => {
  const { flexcache } = await inProcess();

  const made = await flexcache('keys', 'create', '--name', 'laptop');
  const list = await flexcache('keys', 'ls');

  expect(made.exitCode).toBe(0);
  expect(made.stdout).toMatch(/^key +sk-flex-\S+\nid +key_\S+\nname +laptop\ntenant +local\n/);
  expect(made.stderr).toContain('keep the key');
  expect(list.stdout).toContain('1 keys of local');
});

test('all keys of a tenant share its webhook secret', async () => {
  const { flexcache } = await inProcess();
  const secret = async (...args: string[]) =>
    (JSON.parse((await flexcache(...args, '--json')).stdout) as { webhookSecret: string })
      .webhookSecret;

  const first = await secret('keys', 'create', '--name', 'one');
  const second = await secret('keys', 'create', '--name', 'two');
  const shown = await secret('tenants', 'show', 'local', '--secret');
  const other = await secret('keys', 'create', '--name', 'three', '--tenant', 'acme');

  expect([second, shown]).toEqual([first, first]);
  expect(other).not.toBe(first);
});

test('limits are set one by one, shown, and taken away', async () => {
  const { flexcache } = await inProcess();
  await flexcache('keys', 'create', '--name', 'laptop');
  const set = async (...args: string[]) =>
    JSON.parse((await flexcache('tenants', 'set', 'local', ...args, '--json')).stdout) as object;

  const fresh = await flexcache('tenants', 'show', 'local', '--json');
  const first = await set('--requests-per-minute', '60', '--dollars-per-day', '2.50');
  const second = await set('--requests-per-minute', 'none', '--concurrent-jobs', '3');
  const shown = await flexcache('tenants', 'show', 'local');

  expect(JSON.parse(fresh.stdout)).toEqual({
    tenant: 'local',
    createdAt: expect.any(String),
    requestsPerMinute: 'default',
    concurrentJobs: 'default',
    dollarsPerDay: 'default',
    placesTaken: 0,
    dollarsToday: '0.00',
  });
  expect(first).toMatchObject({ requestsPerMinute: 60, dollarsPerDay: '2.50' });
  expect(second).toMatchObject({
    requestsPerMinute: 'none',
    concurrentJobs: 3,
    dollarsPerDay: '2.50',
  });
  expect(shown.stdout).toMatch(/concurrentJobs +3\n/);
  expect(shown.stdout).not.toContain('whsec_');
});

test.each([
  [['keys', 'create', '--name', ''], 'name'],
  [['keys', 'create', '--name', 'a', '--tenant', 'a/b'], 'tenant'],
  [['tenants', 'set', 'local'], 'no limit is given'],
  [['tenants', 'set', 'local', '--concurrent-jobs', '1.5'], 'concurrentJobs'],
  [['tenants', 'set', 'local', '--concurrent-jobs', '9999'], 'concurrentJobs'],
  [['tenants', 'set', 'local', '--requests-per-minute', '-1'], 'requestsPerMinute'],
  [['tenants', 'set', 'local', '--dollars-per-day', 'ten'], 'dollarsPerDay'],
  [['keys', 'create'], '--name'],
])('%j is a mistake that is named', async (args, named) => {
  const { flexcache, folder } = await inProcess();
  await withEmptyState(folder);

  const { exitCode, stdout, stderr } = await flexcache(...args);

  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/^flexcache: invalid_input: /);
  expect(stderr).toContain(named);
  expect(stdout).toBe('');
});

test.each([
  [['tenants', 'show', 'nobody'], 'there is no tenant nobody'],
  [['tenants', 'set', 'nobody', '--concurrent-jobs', '3'], 'there is no tenant nobody'],
  [['keys', 'revoke', 'key_none'], 'tenant local has no API key key_none'],
])('%j says what is not there', async (args, said) => {
  const { flexcache, folder } = await inProcess();
  await withEmptyState(folder);

  const { exitCode, stderr } = await flexcache(...args);

  expect(exitCode).toBe(1);
  expect(stderr).toContain(`flexcache: not_found: ${said}: `);
});

test('while another command holds the state folder its table is used', async () => {
  const { flexcache, folder } = await inProcess();
  await using holder = await openTenants(`${folder}/.flexcache`);

  const made = await flexcache('keys', 'create', '--name', 'laptop', '--json');

  const { key } = JSON.parse(made.stdout) as { key: string };
  expect(await holder.tenants.findApiKey(hashApiKey(key))).toMatchObject({ name: 'laptop' });
});

test('a holder whose table does not answer is named', async () => {
  const { flexcache, folder } = await inProcess();
  const state = await openStateFolder(`${folder}/.flexcache`);
  onTestFinished(() => state.release());

  const { exitCode, stderr } = await flexcache('keys', 'ls');

  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/^flexcache: state_locked: /);
});

describeOnMoto('keys of a deployed table', (endpoint) => {
  test('the same commands work on it, and leave the state folder alone', async () => {
    const { region, credentials } = motoClientOptions(endpoint);
    vi.stubEnv('AWS_ENDPOINT_URL_DYNAMODB', endpoint);
    vi.stubEnv('AWS_REGION', region);
    vi.stubEnv('AWS_ACCESS_KEY_ID', credentials.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey);
    onTestFinished(() => void vi.unstubAllEnvs());
    const table = unique('table-');
    const client = new DynamoDBClient(motoClientOptions(endpoint));
    await client.send(new CreateTableCommand(tableDefinition(table)));
    const { flexcache } = await inProcess();

    const made = await flexcache('keys', 'create', '--name', 'ci', '--table', table, '--json');
    const set = ['tenants', 'set', 'local', '--dollars-per-day', '25', '--table', table, '--json'];
    const limited = await flexcache(...set);
    const deployed = await flexcache('keys', 'ls', '--table', table, '--json');
    const embedded = await flexcache('keys', 'ls', '--json');

    const { id } = JSON.parse(made.stdout) as { id: string };
    expect(JSON.parse(limited.stdout)).toMatchObject({ dollarsPerDay: '25.00' });
    expect(JSON.parse(deployed.stdout)).toMatchObject({ id, name: 'ci' });
    expect(embedded.stdout).toBe('');
  });
});

test('a deployed table without a region is refused with a fix', async () => {
  for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE']) vi.stubEnv(name, '');
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
  onTestFinished(() => void vi.unstubAllEnvs());

  const { exitCode, stderr } = await (await inProcess()).flexcache('keys', 'ls', '--table', 'any');

  expect(exitCode).toBe(2);
  expect(stderr).toContain('AWS_REGION');
});
