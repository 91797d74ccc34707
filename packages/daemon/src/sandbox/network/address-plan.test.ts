import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressPlan, NETWORKS_MAX } from './address-plan.ts';

test('pairs of addresses lie side by side and never repeat', () => {
  const plan = addressPlan([], 0);
  assert.ok(plan !== undefined);
  assert.equal(plan.range, '10.64.0.0/16');
  assert.deepEqual([plan.hostAddress(0), plan.sandboxAddress(0)], ['10.64.0.0', '10.64.0.1']);
  assert.deepEqual(
    [plan.hostAddress(NETWORKS_MAX - 1), plan.sandboxAddress(NETWORKS_MAX - 1)],
    ['10.64.255.254', '10.64.255.255'],
  );
});

test('what the machine uses is left alone, also inside and around a range', () => {
  assert.equal(
    addressPlan(['default', 'dev', '10.64.3.0/24', '10.65.1.1', '0.0.0.0/0'], 0)?.range,
    '10.66.0.0/16',
  );
  assert.equal(addressPlan(['10.0.0.0/8'], 5)?.range, '100.64.0.0/16');
  assert.equal(addressPlan(['10.0.0.0/8', '100.64.0.0/10'], 5), undefined);
});
