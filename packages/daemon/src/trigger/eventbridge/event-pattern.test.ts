import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilters } from './event-filters.ts';
import { compilePattern } from './event-pattern.ts';

const EVENT = {
  specversion: '1.0',
  id: '1',
  source: '/shop/orders',
  type: 'com.example.order.created',
  subject: 'orders/Berlin/17.json',
  data: { total: 42.5, items: ['book', 'pen'], customer: { name: 'Ada', vip: true, note: null } },
};

const fits = (pattern: unknown): boolean => compilePattern(pattern)(EVENT);

test('every field must fit, one of its values at least', () => {
  assert.equal(fits({}), true);
  assert.equal(fits({ source: ['/shop/orders'], type: ['a', 'com.example.order.created'] }), true);
  assert.equal(fits({ source: ['/shop/orders'], type: ['a', 'b'] }), false);
  assert.equal(fits({ region: ['eu'] }), false, 'a field that is not there fits nothing');
  assert.equal(fits({ data: { customer: { name: ['Ada'], vip: [true], note: [null] } } }), true);
  assert.equal(fits({ data: { customer: { name: [true] } } }), false);
  assert.equal(fits({ data: { total: ['42.5'] } }), false, 'a number is no text');
  assert.equal(fits({ subject: { deeper: ['x'] } }), false, 'a text has no fields');
});

test('a list in the event fits where one of its items does', () => {
  assert.equal(fits({ data: { items: ['pen'] } }), true);
  assert.equal(fits({ data: { items: ['ink'] } }), false);
  assert.equal(fits({ data: { items: [{ prefix: 'bo' }] } }), true);
  assert.equal(fits({ data: { items: [{ exists: true }] } }), true);
  assert.equal(fits({ data: { items: [{ exists: false }] } }), false);
});

test('matchers', () => {
  for (const [item, expected] of [
    [{ prefix: 'orders/' }, true],
    [{ prefix: 'Orders/' }, false],
    [{ prefix: { 'equals-ignore-case': 'ORDERS/berlin' } }, true],
    [{ suffix: '.json' }, true],
    [{ suffix: '.png' }, false],
    [{ 'equals-ignore-case': 'ORDERS/berlin/17.JSON' }, true],
    [{ wildcard: 'orders/*/17.*' }, true],
    [{ wildcard: '*' }, true],
    [{ wildcard: 'orders/*/18*' }, false],
    [{ wildcard: 'orders/Berlin/17.json*json' }, false],
    [{ 'anything-but': 'x' }, true],
    [{ 'anything-but': ['x', 'orders/Berlin/17.json'] }, false],
    [{ 'anything-but': { prefix: 'orders/' } }, false],
    [{ 'anything-but': { suffix: '.png' } }, true],
    [{ exists: true }, true],
    [{ exists: false }, false],
  ] as const) {
    assert.equal(fits({ subject: [item] }), expected, JSON.stringify(item));
  }
  for (const [numeric, expected] of [
    [['=', 42.5], true],
    [['>', 42.5], false],
    [['>=', 42.5], true],
    [['>', 0, '<', 100], true],
    [['>', 0, '<=', 42], false],
  ] as const) {
    assert.equal(fits({ data: { total: [{ numeric }] } }), expected, JSON.stringify(numeric));
  }
  assert.equal(fits({ dataschema: [{ exists: false }] }), true);
  assert.equal(fits({ dataschema: [{ 'anything-but': 'x' }] }), false);
  assert.equal(fits({ $or: [{ type: ['no'] }, { subject: [{ prefix: 'orders' }] }] }), true);
  assert.equal(fits({ $or: [{ type: ['no'] }, { subject: ['no'] }] }), false);
});

test('what is no pattern is refused with the place', () => {
  for (const [pattern, message] of [
    ['text', /pattern must be an object/],
    [{ type: 'x' }, /pattern\.type must be an object/],
    [{ type: [] }, /pattern\.type must be a list/],
    [{ type: [['x']] }, /pattern\.type\.0 must be a text/],
    [{ type: [{ starts: 'x' }] }, /no matcher 'starts'/],
    [{ type: [{ prefix: 1 }] }, /prefix must be a text/],
    [{ type: [{ prefix: 'a', suffix: 'b' }] }, /one matcher/],
    [{ data: { n: [{ numeric: ['>'] }] } }, /numeric/],
    [{ data: { n: [{ numeric: ['!', 1] }] } }, /numeric/],
    [{ data: { n: [{ exists: 'yes' }] } }, /exists/],
    [nested(40), /deeply/],
  ] as const) {
    assert.throws(() => compilePattern(pattern), { message }, JSON.stringify(pattern));
  }
});

test('filters of the Subscriptions API', () => {
  for (const [filters, expected] of [
    [[], true],
    [[{ exact: { type: 'com.example.order.created', id: '1' } }], true],
    [[{ prefix: { type: 'com.example.' } }, { suffix: { subject: '.json' } }], true],
    [[{ prefix: { type: 'com.example.' } }, { suffix: { subject: '.png' } }], false],
    [[{ all: [{ prefix: { type: 'com' } }, { not: { exact: { id: '2' } } }] }], true],
    [[{ any: [{ exact: { id: '2' } }, { exact: { id: '3' } }] }], false],
    [[{ exact: { subject2: 'x' } }], false],
  ] as const) {
    assert.equal(compileFilters(filters)(EVENT), expected, JSON.stringify(filters));
  }
  for (const filter of [
    {},
    { sql: 'x' },
    { exact: {} },
    { exact: { id: 1 } },
    { any: [] },
    { not: [] },
    'x',
  ]) {
    assert.throws(() => compileFilters([filter]), { message: /filters\.0/ }, JSON.stringify(filter));
  }
});

function nested(levels: number): unknown {
  return levels === 0 ? ['x'] : { a: nested(levels - 1) };
}
