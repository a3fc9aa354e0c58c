import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { hashApiKey, isApiKey, newApiKey } from '#core/requests/api-key.ts';
import { NO_LIMITS, limitsOf, newTenant } from '#core/requests/tenant.ts';

test('a new key is shown whole once and stored as its hash', () => {
  const { key, record } = newApiKey({ tenant: 'acme', name: 'laptop' }, 0);

  expect(isApiKey(key)).toBe(true);
  expect(record).toEqual({
    keyId: expect.stringMatching(/^key_[0-9A-HJKMNP-TV-Z]{26}$/),
    tenant: 'acme',
    name: 'laptop',
    hash: hashApiKey(key),
    prefix: key.slice(0, 12),
    createdAt: '1970-01-01T00:00:00.000Z',
  });
  expect(JSON.stringify(record)).not.toContain(key.slice(12));
});

test('no two keys are alike', () => {
  const keys = Array.from({ length: 100 }, () => newApiKey({ tenant: 'acme', name: 'laptop' }));

  expect(new Set(keys.map(({ key }) => key)).size).toBe(100);
  expect(new Set(keys.map(({ record }) => record.keyId)).size).toBe(100);
});

test('what has not the form of a key is not taken for one', () => {
  const { key } = newApiKey({ tenant: 'acme', name: 'laptop' });

  for (const text of ['', 'sk-flex-', `${key}a`, key.slice(1), `${key.slice(0, -1)} `, `${key}\n`])
    expect(isApiKey(text)).toBe(false);
});

test.each(['', 'a\nb', 'x'.repeat(101)])('a key cannot be called %j', (name) => {
  expect(() => newApiKey({ tenant: 'acme', name })).toThrow(
    expect.objectContaining({ code: 'invalid_input', field: 'name' }),
  );
});

test('a new tenant has a secret of its own that signs', () => {
  const [one, other] = [newTenant('acme'), newTenant('acme')];
  const id = 'msg_1';
  const now = new Date();
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': new Webhook(one.webhookSecret).sign(id, now, '{}'),
  };

  expect(new Webhook(one.webhookSecret).verify('{}', headers)).toEqual({});
  expect(() => new Webhook(other.webhookSecret).verify('{}', headers)).toThrow();
});

test('a limit that was never set is the default, no limit is no limit', () => {
  const tenant = { ...newTenant('acme'), requestsPerMinute: null, concurrentJobs: 0 };
  const defaults = { requestsPerMinute: 60, concurrentJobs: 20, budgetPerDay: 25n };

  expect(limitsOf(tenant, defaults)).toEqual({
    requestsPerMinute: null,
    concurrentJobs: 0,
    budgetPerDay: 25n,
  });
  expect(limitsOf(newTenant('acme'), NO_LIMITS)).toEqual(NO_LIMITS);
});
