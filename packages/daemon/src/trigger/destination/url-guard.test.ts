import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAllowedHost, isOuterAddress } from './url-guard.ts';

const INNER =
  '127.0.0.1 10.1.2.3 172.20.0.1 192.168.1.1 169.254.169.254 0.0.0.0 ::1 fe80::1 fd00::1 ::ffff:127.0.0.1';

test('addresses of this machine and of private networks are inner ones', () => {
  for (const address of INNER.split(' ')) assert.equal(isOuterAddress(address), false, address);
  for (const address of ['8.8.8.8', '2001:4860:4860::8888'])
    assert.equal(isOuterAddress(address), true, address);
});

test('the operator allows a host, or one port of it', () => {
  const allowed = new Set(['localhost', '10.0.0.7:9000']);
  const isAllowed = (text: string): boolean => isAllowedHost(new URL(text), allowed);
  assert.ok(isAllowed('http://localhost:1234/') && isAllowed('http://10.0.0.7:9000/x'));
  assert.ok(!isAllowed('http://10.0.0.7/') && !isAllowed('https://10.0.0.7/'));
});
