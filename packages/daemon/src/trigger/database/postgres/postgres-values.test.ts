import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as holds, array, option, property, string } from 'fast-check';
import { parseTableName, tableSql } from '../table-name.ts';
import { parseArrayText } from './array-text.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import { isoOfMicroseconds } from './postgres-change.ts';
import { PostgresTypes } from './postgres-types.ts';

const types = new PostgresTypes([
  { oid: 1007, elementOid: 23, baseOid: 0 },
  { oid: 1016, elementOid: 20, baseOid: 0 },
  { oid: 70_000, elementOid: 0, baseOid: 1007 },
  { oid: 70_001, elementOid: 70_000, baseOid: 0 },
]);

test('values become JSON and lose nothing', () => {
  const cases: readonly [number, string, unknown][] = [
    [16, 't', true],
    [16, 'f', false],
    [23, '-5', -5],
    [20, '9007199254740993', '9007199254740993'],
    [1700, '1.50', '1.50'],
    [701, '0.1', 0.1],
    [701, 'NaN', 'NaN'],
    [17, String.raw`\x00ff`, 'AP8='],
    [1184, '2026-01-02 03:04:05.678901+00', '2026-01-02T03:04:05.678901Z'],
    [1184, 'infinity', 'infinity'],
    [1184, '0044-03-15 12:00:00+00 BC', '0044-03-15 12:00:00+00 BC'],
    [1114, '2026-01-02 03:04:05', '2026-01-02T03:04:05'],
    [1082, '2026-01-02', '2026-01-02'],
    [2950, '5f3c9d1e-0000-4000-8000-000000000001', '5f3c9d1e-0000-4000-8000-000000000001'],
    [1007, '{1,NULL,3}', [1, null, 3]],
    [
      1016,
      '{{1,2},{3,4}}',
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    [70_000, '{7}', [7]],
    [70_001, '{"{1,2}","{3}"}', [[1, 2], [3]]],
  ];
  for (const [oid, text, value] of cases)
    assert.deepEqual(types.parserOf(oid)(text), value, `${oid} ${text}`);
});

test('numbers in json keep their digits', () => {
  const text = '{"a":12345678901234567890,"b":[1.10,2],"__proto__":{"c":null},"d":"x"}';
  assert.equal(JSON.stringify(types.parserOf(3802)(text)), text);
});

test('arrays are read as PostgreSQL writes them', () => {
  const same = (text: string): string => text;
  assert.deepEqual(parseArrayText('{}', same), []);
  assert.deepEqual(parseArrayText('[0:1]={a,b}', same), ['a', 'b']);
  assert.deepEqual(parseArrayText(String.raw`{"a,b","NULL",NULL,"q\"\\","",{}}`, same), [
    'a,b',
    'NULL',
    null,
    String.raw`q"\ `.trim(),
    '',
    [],
  ]);
  assert.throws(() => parseArrayText('{a', same));
  holds(
    property(array(option(string())), (values) => {
      const quoted = values.map((value) =>
        value === null ? 'NULL' : `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`,
      );
      assert.deepEqual(parseArrayText(`{${quoted.join(',')}}`, same), values);
    }),
  );
});

test('positions are read and written', () => {
  assert.equal(parseLsn('16/B374D848'), 0x16_b374_d848n);
  assert.equal(formatLsn(parseLsn('00000016/0374D848')), '16/374D848');
  assert.equal(formatLsn(0n), '0/0');
});

test('names of tables are taken letter by letter', () => {
  assert.deepEqual(parseTableName('Orders', 'public'), { schema: 'public', table: 'Orders' });
  assert.deepEqual(parseTableName('shop.orders', 'public'), { schema: 'shop', table: 'orders' });
  assert.deepEqual(parseTableName('"a.b"."c ""d"', 'public'), { schema: 'a.b', table: 'c "d' });
  assert.equal(tableSql({ schema: 'a.b', table: 'c "d' }), '"a.b"."c ""d"');
  for (const wrong of ['a.b.c', '"a', '.a', '']) assert.equal(parseTableName(wrong, ''), undefined, wrong);
});

test('times of commits keep their microseconds', () => {
  assert.equal(isoOfMicroseconds(1_767_323_045_678_901n), '2026-01-02T03:04:05.678901Z');
  assert.equal(isoOfMicroseconds(1_767_323_045_000_001n), '2026-01-02T03:04:05.000001Z');
});
