import { expect, test } from 'vitest';
import { isLoopbackAddress, isPublicAddress } from '#functions/shared/webhooks/addresses.ts';
import { validateWebhookUrl } from '#functions/shared/webhooks/webhook-url.ts';

test.each([
  'https://example.com',
  'https://example.com:443/hooks?a=b#c',
  'https://example.com:8443/',
  'https://8.8.8.8/hook',
  'https://[2606:4700::1111]/hook',
])('%s may be called', (url) => {
  expect(validateWebhookUrl(url)).toBe(url);
});

test.each([
  ['no address', 'example'],
  ['nothing', ''],
  ['a number', 7],
  ['plain http', 'http://example.com/'],
  ['another scheme', 'file:///etc/passwd'],
  ['a user name', 'https://user@example.com/'],
  ['a password', 'https://:secret@example.com/'],
  ['a port of the system', 'https://example.com:22/'],
  ['port 80', 'https://example.com:80/'],
  ['too long', `https://example.com/${'x'.repeat(2048)}`],
  ['this machine by name', 'https://localhost:8080/'],
  ['this machine by a longer name', 'https://a.localhost/'],
  ['this machine', 'https://127.0.0.1:8080/'],
  ['this machine, shortened', 'https://127.1/'],
  ['this machine as one number', 'https://2130706433/'],
  ['this machine in octal', 'https://0177.0.0.1/'],
  ['this machine in IPv6', 'https://[::1]/'],
  ['this machine in IPv6 clothes', 'https://[::ffff:127.0.0.1]/'],
  ['a private network', 'https://10.1.2.3/'],
  ['the metadata of the cloud', 'https://169.254.169.254/latest/meta-data'],
  ['the metadata of the cloud in IPv6', 'https://[fd00:ec2::254]/'],
])('%s is refused by the name of the field: %s', (_, url) => {
  expect(() => validateWebhookUrl(url)).toThrow(
    expect.objectContaining({ code: 'invalid_input', field: 'webhook', fix: expect.any(String) }),
  );
});

test.each(['http://localhost:3000/hook', 'http://127.0.0.1:80/', 'https://[::1]:9/'])(
  '%s may be called once loopback is allowed',
  (url) => {
    expect(validateWebhookUrl(url, { allowLoopback: true })).toBe(url);
  },
);

test.each(['http://example.com/', 'http://10.0.0.1/', 'https://192.168.0.1/'])(
  '%s may not be called, loopback allowed or not',
  (url) => {
    expect(() => validateWebhookUrl(url, { allowLoopback: true })).toThrow();
  },
);

test.each(['8.8.8.8', '2606:4700::1111', '::ffff:8.8.8.8'])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test.each([
  '0.0.0.0',
  '10.0.0.1',
  '100.64.0.1',
  '127.0.0.1',
  '169.254.169.254',
  '172.31.255.255',
  '192.0.0.8',
  '192.168.1.1',
  '198.18.0.1',
  '203.0.113.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:10.0.0.1',
  '::ffff:7f00:1',
  '::127.0.0.1',
  '64:ff9b::7f00:1',
  '100::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '4000::1',
  'fc00::1',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  'example.com',
  '',
])('%j is not public', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test('the addresses of this machine are known in every form', () => {
  expect(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'].every(isLoopbackAddress)).toBe(true);
  expect(['10.0.0.1', '8.8.8.8', '::', 'localhost'].some(isLoopbackAddress)).toBe(false);
});
