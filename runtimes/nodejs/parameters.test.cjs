'use strict';
const assert = require('node:assert/strict');
const { describe, it } = require('node:test');
const { canTakeParameter, isHttpHandler, parameterNames, takesNext } = require('./parameters.cjs');

/** Functions are made from text, so that no formatter changes what is being read. */
// oxlint-disable-next-line typescript/no-implied-eval -- the texts are the ones below
const make = (source) => new Function(`return ${source}`)();

const NAMES = [
  ['function (req, res) {}', ['req', 'res']],
  ['async function named(req, res, context) {}', ['req', 'res', 'context']],
  ['function* generator(a) {}', ['a']],
  ['(event, context) => {}', ['event', 'context']],
  ['async (event) => {}', ['event']],
  ['event => event', ['event']],
  ['async event => (event, 1)', ['event']],
  ['() => {}', []],
  ['({ handler(req, resp) {} }).handler', ['req', 'resp']],
  ['({ async handler(req, resp) {} }).handler', ['req', 'resp']],
  ['({ ["a(b)" + (1, 2)](req, resp) {} })["a(b)2"]', ['req', 'resp']],
  ['({ "a(b)"(req, resp) {} })["a(b)"]', ['req', 'resp']],
  ['(req /* the request, (really) */, // and\n res) => {}', ['req', 'res']],
  [
    '(event = ")", context = { a: [1, (2)] }, callback = (x, y) => `,`) => {}',
    ['event', 'context', 'callback'],
  ],
  ['({ body }, [first], ...rest) => {}', ['', '', '...']],
  ['(größe, $x) => {}', ['größe', '$x']],
  ['(a, b,) => {}', ['a', 'b']],
  ['function () {}.bind(null)', undefined],
  ['Math.max', undefined],
];

describe('parameterNames', () => {
  for (const [source, names] of NAMES) {
    it(source, () => assert.deepEqual(parameterNames(make(source)), names));
  }
});

describe('isHttpHandler', () => {
  const app = Object.assign(() => {}, { handle: () => {}, use: () => {} });
  for (const [source, isHttp] of [
    ['(req, res) => {}', true],
    ['async (request, response, context) => {}', true],
    ['(_req, _resp) => {}', true],
    ['(event, context) => {}', false],
    ['(req, context) => {}', false],
    ['(res, req) => {}', false],
    ['(req) => {}', false],
    ['Math.max', false],
  ]) {
    it(`${source}: ${isHttp}`, () => assert.equal(isHttpHandler(make(source)), isHttp));
  }
  it('an app: true', () => assert.equal(isHttpHandler(app), true));
  it('an app and a (req, res, next) take next, a handler does not', () => {
    assert.equal(takesNext(app), true);
    assert.equal(takesNext(make('(req, res, next) => {}')), true);
    assert.equal(takesNext(make('(req, res, context) => {}')), false);
  });
});

describe('canTakeParameter', () => {
  for (const [source, can] of [
    ['(event, context) => {}', false],
    ['(event, context, callback) => {}', true],
    ['(...everything) => {}', true],
    ['function () { return arguments[2]; }', true],
    ['function () {}.bind(null)', true],
  ]) {
    it(`${source}: ${can}`, () => assert.equal(canTakeParameter(make(source), 2), can));
  }
});
