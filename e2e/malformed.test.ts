import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform, type Platform } from '@thaw/testkit/platform.ts';
import { zip } from '@thaw/testkit/zip.ts';
import { API, createFunction, createHttpTrigger, invoke } from './support/functions.ts';
import { jsonOf, send, sendRaw, type Answer } from './support/http-call.ts';
import { oddZip, zipWithLink } from './support/odd-zips.ts';
import { sign, signedCall, type SignedCall } from './support/signed-call.ts';

/** A request that must not be taken, and what it must be told. */
interface Malformed {
  readonly name: string;
  readonly request: (platform: Platform) => Promise<Pick<Answer, 'status' | 'body'>>;
  readonly status: number;
  readonly code: string;
  /** Names the field, the header, the thing or the limit. */
  readonly says: RegExp;
}

type Expected = readonly [status: number, code: string, says: RegExp];

const malformed = (name: string, expected: Expected, request: Malformed['request']): Malformed => {
  const [status, code, says] = expected;
  return { name, request, status, code, says };
};

const wrong = (says: RegExp): Expected => [400, 'InvalidArgument', says];

const signed = (name: string, expected: Expected, call: SignedCall): Malformed =>
  malformed(name, expected, (platform) => signedCall(platform, call));

const FUNCTIONS = `${API}/functions`;
const GOOD_ZIP = (await zip({ 'index.js': 'exports.handler = async () => 1;' })).toString('base64');
const GOOD = {
  functionName: 'never',
  runtime: 'nodejs20',
  handler: 'index.handler',
  code: { zipFile: GOOD_ZIP },
};

const create = (name: string, fields: object, expected: Expected): Malformed =>
  signed(`create: ${name}`, expected, {
    method: 'POST',
    path: FUNCTIONS,
    body: JSON.stringify({ ...GOOD, ...fields }),
  });

/** Fields of CreateFunction with values that each must be refused by the field's name. */
const WRONG_FIELDS: Record<string, readonly unknown[]> = {
  functionName: [
    undefined,
    null,
    '',
    1,
    {},
    [],
    'x'.repeat(65),
    '1st',
    'a/b',
    '..',
    '../a',
    'a\0b',
    'a%2Fb',
    '%00',
    'a b',
    'h\u00e9',
  ],
  runtime: [undefined, 7, '', 'cobol85', 'php7.2', 'nodejs', 'x'.repeat(300), '__proto__'],
  handler: [undefined, 5, '', 'x'.repeat(200)],
  memorySize: [0, -128, 100, 127, 1e9, 128.5, '128', {}, true],
  timeout: [0, -1, 1.5, 86_401, 1e300, '3'],
  cpu: [0, -1, 17, 0.33, '1'],
  diskSize: [1, 512.5, -512, '512'],
  instanceConcurrency: [0, -1, 201, 1.5, '1'],
  environmentVariables: [
    5,
    'A=b',
    ['a'],
    { A: 1 },
    { FC_SECRET: 'x' },
    { '1A': 'x' },
    { 'A=B': 'x' },
    { A: 'a\0b' },
    { A: 'x'.repeat(4097) },
  ],
  layers: [
    5,
    'arn',
    [5],

    Array.from({ length: 6 }, () => 'acs:fc:local:1000000000000000:layers/a/versions/1'),
  ],
  internetAccess: ['yes', 1],
  description: [5, 'x'.repeat(257)],
  tags: [5, [{}], [{ Key: 'a' }, { Key: 'a' }], Array.from({ length: 21 }, (_, n) => ({ Key: `k${n}` }))],
  instanceLifecycleConfig: [
    5,
    { initializer: 5 },
    { initializer: { handler: 'a.b', timeout: 0 } },
    { initializer: { handler: 'a.b', timeout: 301 } },
    { preStop: { handler: 'a.b', timeout: 91 } },
  ],
  code: [
    undefined,
    5,
    {},
    { zipFile: 5 },
    { zipFile: '' },
    { zipFile: '!!!' },
    { zipFile: 'A' },
    { ossBucketName: 'b', ossObjectName: 'o' },
    { ossObjectName: '../../../etc/passwd' },
    { zipFile: GOOD_ZIP, checksum: '1' },
  ],
};

const shown = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 40);

/** Of a runtime that is a name, the name is told instead. */
const FIELD_CASES = Object.entries(WRONG_FIELDS).flatMap(([field, values]) =>
  values.map((value) => {
    const says =
      field === 'runtime' ? /^runtime |'.*' (does not exist|is not supported)/ : new RegExp(`${field}\\b`);
    return create(`${field} is ${shown(value)}`, { [field]: value }, wrong(says));
  }),
);

const JSON_CASES: readonly Malformed[] = (
  [
    ['not JSON', '{"functionName":', /not JSON/],
    ['a list', '[]', /must be a JSON object|is required/],
    ['a text', '"hello"', /JSON object/],
    ['a number', '7', /JSON object/],
    ['null', 'null', /JSON object|required/],
    ['nothing', '', /functionName|runtime/],
    ['not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), /not JSON in UTF-8/],
    ['too deep', `${'['.repeat(40)}${']'.repeat(40)}`, /nests deeper than 32/],
    ['far too deep', '['.repeat(100_000), /not JSON/],
    ['the names of prototypes', '{"__proto__":{"functionName":"a"},"constructor":1}', /is required/],
  ] satisfies readonly (readonly [string, string | Buffer, RegExp])[]
).map(([name, body, says]) =>
  signed(`JSON: ${name}`, wrong(says), { method: 'POST', path: FUNCTIONS, body }),
);

const withZip = (name: string, zipFile: Buffer | (() => Promise<Buffer>), says: RegExp): Malformed =>
  malformed(`zip: ${name}`, wrong(says), async (platform) => {
    const bytes = Buffer.isBuffer(zipFile) ? zipFile : await zipFile();
    const body = JSON.stringify({ ...GOOD, code: { zipFile: bytes.toString('base64') } });
    return signedCall(platform, { method: 'POST', path: FUNCTIONS, body });
  });

const good = Buffer.from(GOOD_ZIP, 'base64');
const file = { name: 'index.js' };

const ZIP_CASES: readonly Malformed[] = [
  withZip('not a zip', Buffer.from('not a zip at all'), /not a readable zip/),
  withZip('truncated at the end', good.subarray(0, good.length - 10), /not a readable zip/),
  withZip('truncated at the start', good.subarray(10), /zip|damaged/),
  withZip('half of it', good.subarray(0, good.length / 2), /not a readable zip/),
  withZip('damaged content', oddZip([{ name: 'index.js', declaredCrc32: 1 }]), /"index.js" is damaged/),
  withZip('a parent', oddZip([file, { name: '../evil.js' }]), /"\.\.\/evil\.js" leads out/),
  withZip('a parent inside', oddZip([file, { name: 'a/../../evil.js' }]), /leads out of the package/),
  withZip('an absolute path', oddZip([file, { name: '/etc/evil' }]), /"\/etc\/evil" has an absolute path/),
  withZip('a backslash', oddZip([file, { name: '..\\evil.js' }]), /backslash/),
  withZip('a drive', oddZip([file, { name: 'C:evil.js' }]), /drive letter/),
  withZip('a NUL', oddZip([file, { name: 'a\0.js' }]), /NUL/),
  withZip('a long component', oddZip([file, { name: 'x'.repeat(300) }]), /more than 255 bytes/),
  withZip('a long path', oddZip([file, { name: 'x/'.repeat(1500) + 'y' }]), /more than 2048 bytes/),
  withZip('one name twice', oddZip([file, file]), /"index.js" is there twice/),
  withZip('a file below a file', oddZip([file, { name: 'index.js/a' }]), /stands below "index.js"/),
  withZip('a link to a parent', () => zipWithLink('link', '../../etc/passwd'), /"link" leads out/),
  withZip('a link to an absolute path', () => zipWithLink('link', '/etc/passwd'), /"link" leads out/),
  withZip(
    'a link and a file below it',
    oddZip([{ name: 'a', mode: 0o120777, content: Buffer.from('.') }, { name: 'a/b' }]),
    /below "a"/,
  ),
  withZip('a device', oddZip([file, { name: 'dev', mode: 0o020666 }]), /no file, directory or link/),
  withZip('a pipe', oddZip([file, { name: 'pipe', mode: 0o010666 }]), /no file, directory or link/),
  withZip('encrypted', oddZip([{ ...file, isEncrypted: true }]), /encrypted/),
  withZip('another compression', oddZip([{ ...file, method: 12 }]), /method 12/),
  withZip(
    'a bomb that says so',
    oddZip([{ name: 'bomb', declaredBytes: 0xf000_0000 }]),
    /larger than|damaged/,
  ),
  withZip(
    'a bomb that lies',
    oddZip([{ name: 'bomb', content: Buffer.alloc(8 << 20), declaredBytes: 10 }]),
    /damaged/,
  ),
];

const call = (
  name: string,
  method: string,
  path: string,
  expected: Expected,
  fields: Partial<SignedCall> = {},
): Malformed => signed(`${method} ${name}`, expected, { method, path, ...fields });

const json = (value: object): { body: string } => ({ body: JSON.stringify(value) });
const missing = (what: string, says: RegExp): Expected => [404, `${what}NotFound`, says];

const RESOURCE_CASES: readonly Malformed[] = [
  call('unknown function', 'GET', `${FUNCTIONS}/nobody`, missing('Function', /'nobody'/)),
  call('function ..', 'GET', `${FUNCTIONS}/..`, missing('Function', /'\.\.'/)),
  call('function %2e%2e', 'GET', `${FUNCTIONS}/%2e%2e`, missing('Function', /'\.\.'/)),
  call('function with a slash', 'GET', `${FUNCTIONS}/a%2Fb`, missing('Function', /'a\/b'/)),
  call('function with a NUL', 'GET', `${FUNCTIONS}/a%00b`, missing('Function', /function/)),
  call('function of bad percent-encoding', 'GET', `${FUNCTIONS}/%zz`, wrong(/%zz/)),
  call('function of half a character', 'GET', `${FUNCTIONS}/%E4`, wrong(/%E4/)),
  call('function with a long name', 'GET', `${FUNCTIONS}/${'x'.repeat(4000)}`, missing('Function', /x{64}/)),
  call('function __proto__', 'GET', `${FUNCTIONS}/__proto__`, missing('Function', /__proto__/)),
  call('function constructor', 'DELETE', `${FUNCTIONS}/constructor`, missing('Function', /constructor/)),
  call('no function name', 'GET', `${FUNCTIONS}//`, [400, 'PathNotSupported', /not supported/]),
  call(
    'unknown function',
    'PUT',
    `${FUNCTIONS}/nobody`,
    missing('Function', /'nobody'/),
    json({ timeout: 5 }),
  ),
  call('wrong field', 'PUT', `${FUNCTIONS}/good`, wrong(/timeout/), json({ timeout: -5 })),
  call('wrong code', 'PUT', `${FUNCTIONS}/good`, wrong(/code.zipFile/), json({ code: { zipFile: '%' } })),
  call('unknown function', 'DELETE', `${FUNCTIONS}/nobody`, missing('Function', /'nobody'/)),
  call(
    'existing function',
    'POST',
    FUNCTIONS,
    [409, 'FunctionAlreadyExists', /'good'/],
    json({ ...GOOD, functionName: 'good' }),
  ),
  call('unknown version', 'GET', `${FUNCTIONS}/good`, missing('Version', /9/), { query: 'qualifier=9' }),
  call('unknown alias', 'GET', `${FUNCTIONS}/good`, missing('Alias', /nope/), { query: 'qualifier=nope' }),
  call('bad qualifier', 'GET', `${FUNCTIONS}/good`, wrong(/qualifier/), { query: 'qualifier=..%2F' }),
  call('version -1', 'DELETE', `${FUNCTIONS}/good/versions/-1`, missing('Version', /-1/)),
  call('version of nobody', 'POST', `${FUNCTIONS}/nobody/versions`, missing('Function', /'nobody'/)),
  call(
    'long description',
    'POST',
    `${FUNCTIONS}/good/versions`,
    wrong(/description/),
    json({ description: 'x'.repeat(300) }),
  ),
  call('list limit 0', 'GET', FUNCTIONS, wrong(/limit/), { query: 'limit=0' }),
  call('list limit -1', 'GET', FUNCTIONS, wrong(/limit/), { query: 'limit=-1' }),
  call('list limit huge', 'GET', FUNCTIONS, wrong(/limit/), { query: 'limit=99999999999999999999' }),
  call('list limit text', 'GET', FUNCTIONS, wrong(/limit/), { query: 'limit=ten' }),
  call('list nextToken', 'GET', FUNCTIONS, wrong(/nextToken/), { query: 'nextToken=%25%25' }),
  call('list tags', 'GET', FUNCTIONS, wrong(/tags/), { query: 'tags=nope' }),
  call('versions direction', 'GET', `${FUNCTIONS}/good/versions`, wrong(/direction/), {
    query: 'direction=UP',
  }),
  ...(
    [
      ['no body', {}, /aliasName|versionId/],
      ['name', { aliasName: 'a/b', versionId: '1' }, /aliasName/],
      ['name LATEST', { aliasName: 'LATEST', versionId: '1' }, /aliasName/],
      ['number as name', { aliasName: '1', versionId: '1' }, /aliasName/],
      ['version', { aliasName: 'a', versionId: 'one' }, /versionId/],
      ['version as number', { aliasName: 'a', versionId: 1 }, /versionId/],
      [
        'weight over 1',
        { aliasName: 'a', versionId: '1', additionalVersionWeight: { '2': 1.5 } },
        /additionalVersionWeight/,
      ],
      [
        'negative weight',
        { aliasName: 'a', versionId: '1', additionalVersionWeight: { '2': -0.5 } },
        /additionalVersionWeight/,
      ],
      [
        'weights over 1',
        { aliasName: 'a', versionId: '1', additionalVersionWeight: { '2': 0.6, LATEST: 0.6 } },
        /additionalVersionWeight/,
      ],
      [
        'weight as text',
        { aliasName: 'a', versionId: '1', additionalVersionWeight: { '2': '0.5' } },
        /additionalVersionWeight/,
      ],
      [
        'weight of itself',
        { aliasName: 'a', versionId: '1', additionalVersionWeight: { '1': 0.5 } },
        /additionalVersionWeight/,
      ],
    ] satisfies readonly (readonly [string, object, RegExp])[]
  ).map(([name, body, says]) =>
    call(`alias: ${name}`, 'POST', `${FUNCTIONS}/good/aliases`, wrong(says), json(body)),
  ),
  call(
    'alias of unknown version',
    'POST',
    `${FUNCTIONS}/good/aliases`,
    missing('Version', /'?77'?/),
    json({ aliasName: 'a', versionId: '77' }),
  ),
  call('unknown alias', 'PUT', `${FUNCTIONS}/good/aliases/nope`, missing('Alias', /'nope'/), json({})),
  ...(
    [
      ['no name', { triggerType: 'http' }, /triggerName/],
      ['name', { triggerName: '../x', triggerType: 'http' }, /triggerName/],
      ['type', { triggerName: 'x', triggerType: 'pigeon' }, /pigeon/],
      ['config as object', { triggerName: 'x', triggerType: 'http', triggerConfig: {} }, /triggerConfig/],
      ['config not JSON', { triggerName: 'x', triggerType: 'http', triggerConfig: '{' }, /triggerConfig/],
      ['config a list', { triggerName: 'x', triggerType: 'http', triggerConfig: '[]' }, /triggerConfig/],
      [
        'authType',
        { triggerName: 'x', triggerType: 'http', triggerConfig: '{"authType":"none"}' },
        /authType/,
      ],
      [
        'methods',
        { triggerName: 'x', triggerType: 'http', triggerConfig: '{"methods":["BREW"]}' },
        /methods/,
      ],
      ['no methods', { triggerName: 'x', triggerType: 'http', triggerConfig: '{"methods":[]}' }, /methods/],
      [
        'cors',
        { triggerName: 'x', triggerType: 'http', triggerConfig: '{"corsConfig":{"maxAge":-1}}' },
        /corsConfig\.maxAge/,
      ],
      ['qualifier', { triggerName: 'x', triggerType: 'http', qualifier: '!' }, /qualifier/],
    ] satisfies readonly (readonly [string, object, RegExp])[]
  ).map(([name, body, says]) =>
    call(`trigger: ${name}`, 'POST', `${FUNCTIONS}/good/triggers`, wrong(says), json(body)),
  ),
  call('unknown trigger', 'GET', `${FUNCTIONS}/good/triggers/nope`, missing('Trigger', /'nope'/)),
  call(
    'existing trigger',
    'POST',
    `${FUNCTIONS}/good/triggers`,
    [409, 'TriggerAlreadyExists', /'web'/],
    json({ triggerName: 'web', triggerType: 'http' }),
  ),
  call(
    'layer name',
    'POST',
    `${API}/layers/a%2Fb/versions`,
    wrong(/layerName/),
    json({ code: { zipFile: GOOD_ZIP } }),
  ),
  call('layer without code', 'POST', `${API}/layers/lib/versions`, wrong(/code/), json({})),
  call(
    'layer of bad code',
    'POST',
    `${API}/layers/lib/versions`,
    wrong(/zip/),
    json({ code: { zipFile: 'aGk=' } }),
  ),
  call('unknown layer', 'GET', `${API}/layers/nope/versions/1`, missing('Layer', /nope/)),
  call('layer version 0', 'GET', `${API}/layers/nope/versions/0`, wrong(/version/)),
  call('layer version text', 'DELETE', `${API}/layers/nope/versions/one`, wrong(/version/)),
  call('layer arn of nonsense', 'GET', `${API}/layerarn/nonsense`, missing('Layer', /'nonsense'/)),
  create(
    'a layer that does not exist',
    { layers: ['acs:fc:local:1000000000000000:layers/nope/versions/1'] },
    missing('Layer', /nope/),
  ),
  call(
    'concurrency -1',
    'PUT',
    `${FUNCTIONS}/good/concurrency`,
    wrong(/reservedConcurrency/),
    json({ reservedConcurrency: -1 }),
  ),
  call(
    'concurrency huge',
    'PUT',
    `${FUNCTIONS}/good/concurrency`,
    wrong(/reservedConcurrency/),
    json({ reservedConcurrency: 1e18 }),
  ),
  call(
    'concurrency text',
    'PUT',
    `${FUNCTIONS}/good/concurrency`,
    wrong(/reservedConcurrency/),
    json({ reservedConcurrency: '5' }),
  ),
  call('no concurrency set', 'GET', `${FUNCTIONS}/good/concurrency`, [404, 'OnDemandConfigNotFound', /good/]),
  call('tags of nothing', 'POST', `${API}/tags-v2`, wrong(/Resource/), json({ Tag: [{ Key: 'a' }] })),
  call(
    'tags of nobody',
    'POST',
    `${API}/tags-v2`,
    missing('Function', /'nobody'/),
    json({ ResourceType: 'function', ResourceId: ['nobody'], Tag: [{ Key: 'a', Value: 'b' }] }),
  ),
  call('unknown path', 'GET', `${API}/nowhere`, [400, 'PathNotSupported', /nowhere/]),
  call('unknown path', 'GET', '/', [404, 'PathNotSupported', /'\/'/]),
  call('unknown version of the API', 'GET', '/2020-01-01/functions', [404, 'PathNotSupported', /2020-01-01/]),
  call('wrong method', 'PATCH', `${FUNCTIONS}/good`, [405, 'PathNotSupported', /PATCH/]),
  call('wrong method', 'PUT', FUNCTIONS, [405, 'PathNotSupported', /PUT/]),
  call('wrong method', 'GET', `${FUNCTIONS}/good/invocations`, [400, 'PathNotSupported', /GET/]),
  call('body over 1 MB', 'POST', `${FUNCTIONS}/good/versions`, [400, 'EntityTooLarge', /1048576/], {
    body: 'x'.repeat((1 << 20) + 1),
  }),
  call('our API: unknown path', 'GET', '/thaw/v1/nowhere', [404, 'PATH_NOT_SUPPORTED', /nowhere/]),
  call('our API: wrong method', 'DELETE', '/thaw/v1/info', [405, 'METHOD_NOT_ALLOWED', /DELETE/]),
  call('our API: unknown function', 'GET', '/thaw/v1/functions/nobody/logs', [
    404,
    'FUNCTION_NOT_FOUND',
    /'nobody'/,
  ]),
  call('our API: unknown invocation', 'GET', '/thaw/v1/invocations/nope', [
    404,
    'INVOCATION_NOT_FOUND',
    /'nope'/,
  ]),
  call('our API: limit', 'GET', '/thaw/v1/invocations', [400, 'INVALID_ARGUMENT', /limit/], {
    query: 'limit=-1',
  }),
  call('our API: percent-encoding', 'GET', '/thaw/v1/functions/%zz/logs', [400, 'INVALID_ARGUMENT', /%zz/]),
];

const OVER_32_MB = Buffer.alloc(32 * 1024 * 1024 + 1);
const invocation = (
  name: string,
  path: string,
  expected: Expected,
  fields: Partial<SignedCall> = {},
): Malformed =>
  signed(`invoke: ${name}`, expected, {
    method: 'POST',
    path: `${FUNCTIONS}/${path}/invocations`,
    ...fields,
  });

const INVOKE_CASES: readonly Malformed[] = [
  invocation('unknown function', 'nobody', missing('Function', /'nobody'/)),
  invocation('bad percent-encoding', '%zz', missing('Function', /%zz/)),
  invocation('unknown version', 'good', missing('Version', /'9'/), { query: 'qualifier=9' }),
  invocation('unknown alias', 'good', missing('Alias', /'nope'/), { query: 'qualifier=nope' }),
  invocation('odd alias', 'good', missing('Alias', /alias/), { query: 'qualifier=..%2F%00' }),
  invocation('invocation type', 'good', wrong(/x-fc-invocation-type/), {
    headers: { 'x-fc-invocation-type': 'Maybe' },
  }),
  invocation('log type', 'good', wrong(/x-fc-log-type/), { headers: { 'x-fc-log-type': 'All' } }),
  invocation('payload over 32 MB', 'good', [400, 'EntityTooLarge', /33554432/], { body: OVER_32_MB }),
  malformed('invoke: chunked payload over 32 MB', [400, 'EntityTooLarge', /33554432/], (platform) => {
    const parts = sign(platform, { method: 'POST', path: `${FUNCTIONS}/good/invocations`, body: OVER_32_MB });
    return send(platform.url, { ...parts, headers: { ...parts.headers, 'transfer-encoding': 'chunked' } });
  }),
];

/** A good request but for one thing. */
const altered = (
  name: string,
  expected: Expected,
  alter: (headers: Record<string, string>) => Record<string, string>,
  body = '',
): Malformed =>
  malformed(`signature: ${name}`, expected, (platform) => {
    const parts = sign(platform, { method: 'POST', path: `${FUNCTIONS}/good/invocations`, body });
    return send(platform.url, { ...parts, headers: alter(parts.headers) });
  });

const without = (name: string) => (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).filter(([each]) => each !== name));
const changed = (name: string, value: string) => (headers: Record<string, string>) => ({
  ...headers,
  [name]: value,
});
const noMatch: Expected = [403, 'SignatureNotMatch', /signature|signed|Authorization|hash/];
const freshAt = (offsetMs: number): SignedCall => ({
  method: 'GET',
  path: `${FUNCTIONS}/good`,
  headers: { 'x-acs-date': new Date(Date.now() + offsetMs).toISOString() },
});

const SIGNATURE_CASES: readonly Malformed[] = [
  altered('missing', [400, 'MissingRequiredHeader', /Authorization/], without('authorization')),
  altered('empty', [400, 'MissingRequiredHeader', /Authorization/], changed('authorization', '')),
  altered('of another scheme', noMatch, changed('authorization', 'Basic YTpi')),
  altered('without its parts', noMatch, changed('authorization', 'ACS3-HMAC-SHA256 Credential=a')),
  altered('of nonsense', noMatch, (headers) => ({
    ...headers,
    authorization: (headers['authorization'] ?? '').replace(/Signature=.*/, 'Signature=zz'),
  })),
  altered('cut short', noMatch, (headers) => ({
    ...headers,
    authorization: (headers['authorization'] ?? '').slice(0, -1),
  })),
  altered('without a date', [400, 'MissingRequiredHeader', /x-acs-date/], without('x-acs-date')),
  altered(
    'without a nonce',
    [400, 'MissingRequiredHeader', /x-acs-signature-nonce/],
    without('x-acs-signature-nonce'),
  ),
  altered(
    'without a hash',
    [400, 'MissingRequiredHeader', /x-acs-content-sha256/],
    without('x-acs-content-sha256'),
  ),
  altered('another nonce', noMatch, changed('x-acs-signature-nonce', 'other')),
  altered('another host', noMatch, changed('host', 'other:1')),
  altered('another hash', noMatch, changed('x-acs-content-sha256', '0'.repeat(64))),
  signed('signature: wrong secret', noMatch, { method: 'GET', path: FUNCTIONS, accessKeySecret: 'guess' }),
  signed('signature: unknown key', [403, 'InvalidAccessKeyID', /'nobody'/], {
    method: 'GET',
    path: FUNCTIONS,
    accessKeyId: 'nobody',
  }),
  malformed('signature: expired', [403, 'AccessDenied', /seconds away/], (platform) =>
    signedCall(platform, freshAt(-3_600_000)),
  ),
  malformed('signature: from the future', [403, 'AccessDenied', /seconds away/], (platform) =>
    signedCall(platform, freshAt(3_600_000)),
  ),
  signed('signature: no date', wrong(/date/), {
    method: 'GET',
    path: FUNCTIONS,
    headers: { 'x-acs-date': 'yesterday' },
  }),
  signed('signature: long nonce', wrong(/x-acs-signature-nonce/), {
    method: 'GET',
    path: FUNCTIONS,
    headers: { 'x-acs-signature-nonce': 'n'.repeat(300) },
  }),
  malformed('signature: body changed', noMatch, (platform) => {
    const parts = sign(platform, { method: 'POST', path: `${FUNCTIONS}/good/invocations`, body: 'one' });
    return send(platform.url, { ...parts, body: 'two' });
  }),
  malformed('signature: path changed', noMatch, (platform) => {
    const parts = sign(platform, { method: 'GET', path: `${FUNCTIONS}/other` });
    return send(platform.url, { ...parts, path: `${FUNCTIONS}/good` });
  }),
  malformed('signature: method changed', noMatch, (platform) => {
    const parts = sign(platform, { method: 'GET', path: `${FUNCTIONS}/good` });
    return send(platform.url, { ...parts, method: 'DELETE' });
  }),
  malformed('signature: query added', noMatch, (platform) => {
    const parts = sign(platform, { method: 'GET', path: FUNCTIONS });
    return send(platform.url, { ...parts, path: `${FUNCTIONS}?prefix=a` });
  }),
  malformed('signature: replayed', [403, 'SignatureNonceUsed', /nonce/], async (platform) => {
    const parts = sign(platform, { method: 'GET', path: `${FUNCTIONS}/good` });
    assert.equal((await send(platform.url, parts)).status, 200);
    return send(platform.url, parts);
  }),
  malformed('code url: forged', [403, 'AccessDenied', /download URL/], (platform) =>
    send(platform.url, { path: `${API}/code-objects/forged` }),
  ),
  malformed('code url: wrong method', [405, 'PathNotSupported', /DELETE/], (platform) =>
    send(platform.url, { method: 'DELETE', path: `${API}/code-objects/forged` }),
  ),
  malformed('upload: unsigned', [400, 'MissingRequiredHeader', /Authorization/], (platform) =>
    send(platform.url, { method: 'PUT', path: '/1000000000000000/x', body: 'zip' }),
  ),
  malformed('our API: unsigned', [403, 'SIGNATURE_MISSING', /Authorization/], (platform) =>
    send(platform.url, { path: '/thaw/v1/info' }),
  ),
];

const TRIGGER_CASES: readonly Malformed[] = [
  malformed('trigger: unknown', [404, 'TRIGGER_NOT_FOUND', /'good'/], (platform) =>
    send(platform.url, { path: '/http/good/other/' }),
  ),
  malformed('trigger: of nobody', [404, 'TRIGGER_NOT_FOUND', /'nobody'/], (platform) =>
    send(platform.url, { path: '/http/nobody/web/' }),
  ),
  malformed('trigger: host of nobody', [404, 'TRIGGER_NOT_FOUND', /'nobody'/], (platform) =>
    send(platform.url, { path: '/', headers: { host: 'nobody.localhost' } }),
  ),
  malformed('trigger: method', [405, 'METHOD_NOT_ALLOWED', /GET.*not PUT/], (platform) =>
    send(platform.url, { method: 'PUT', path: '/http/good/web/' }),
  ),
  malformed('trigger: names of prototypes', [404, 'TRIGGER_NOT_FOUND', /__proto__/], (platform) =>
    send(platform.url, { path: '/http/__proto__/constructor/' }),
  ),
];

/** Bytes on a bare connection; the answer is read as HTTP by hand. */
const raw = (
  name: string,
  bytes: string | Buffer,
  expected: Expected,
  options?: { end: boolean },
): Malformed =>
  malformed(`raw: ${name}`, expected, async (platform) => {
    const text = await sendRaw(platform.url, bytes, options);
    const [, status = '0'] = /^HTTP\/1\.1 (\d{3}) /.exec(text) ?? [];
    return { status: Number(status), body: Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4)) };
  });

const notHttp: Expected = wrong(/not valid HTTP/);
const head = (line: string, ...headers: string[]): string =>
  `${[line, 'Host: x', 'Connection: close', ...headers].join('\r\n')}\r\n\r\n`;
const tooLarge: Expected = [431, 'RequestHeaderTooLarge', /16384/];

const RAW_CASES: readonly Malformed[] = [
  raw('no HTTP', 'hello there\r\n\r\n', notHttp),
  raw('TLS', Buffer.from('16030100a5010000a10303', 'hex'), notHttp),
  raw('unknown method', head('BREW / HTTP/1.1'), notHttp),
  raw('unknown version', head('GET / HTTP/9.9'), notHttp),
  raw('space in the path', head('GET /a b HTTP/1.1'), notHttp),
  raw('control character in the path', head('GET /a\x01b HTTP/1.1'), notHttp),
  raw('no host', 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n', [
    400,
    'MissingRequiredHeader',
    /Host/,
  ]),
  raw('header without colon', head('GET / HTTP/1.1', 'nonsense'), notHttp),
  raw('space in a header name', head('GET / HTTP/1.1', 'X A: b'), notHttp),
  raw('NUL in a header', head('GET / HTTP/1.1', 'X-A: a\0b'), notHttp),
  raw('folded header', head('GET / HTTP/1.1', 'X-A: a', ' folded'), notHttp),
  raw('length of nonsense', head('POST /http/good/web/ HTTP/1.1', 'Content-Length: many'), notHttp),
  raw('negative length', head('POST /http/good/web/ HTTP/1.1', 'Content-Length: -1'), notHttp),
  raw(
    'huge length',
    head('POST /http/good/web/ HTTP/1.1', 'Content-Length: 99999999999999999999999'),
    notHttp,
  ),
  raw(
    'two lengths',
    head('POST /http/good/web/ HTTP/1.1', 'Content-Length: 1', 'Content-Length: 2'),
    notHttp,
  ),
  raw(
    'length and chunks',
    head('POST /http/good/web/ HTTP/1.1', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
    notHttp,
  ),
  raw(
    'unknown transfer coding',
    head('POST /http/good/web/ HTTP/1.1', 'Transfer-Encoding: chunked, pigeon'),
    notHttp,
  ),
  raw(
    'chunk size of nonsense',
    `${head('POST /http/good/web/ HTTP/1.1', 'Transfer-Encoding: chunked')}zz\r\n`,
    notHttp,
  ),
  raw(
    'chunk longer than it says',
    `${head('POST /http/good/web/ HTTP/1.1', 'Transfer-Encoding: chunked')}1\r\nabc\r\n0\r\n\r\n`,
    notHttp,
  ),
  raw('body cut off', `${head('POST /http/good/web/ HTTP/1.1', 'Content-Length: 10')}abc`, notHttp, {
    end: true,
  }),
  raw(
    'chunks cut off',
    `${head('POST /http/good/web/ HTTP/1.1', 'Transfer-Encoding: chunked')}5\r\nab`,
    notHttp,
    { end: true },
  ),
  raw('head cut off', 'GET / HTTP/1.1\r\nHost:', notHttp, { end: true }),
  raw('huge header', head('GET /healthz HTTP/1.1', `X-A: ${'x'.repeat(20_000)}`), tooLarge),
  raw(
    'too many headers',
    head('GET /healthz HTTP/1.1', ...Array.from({ length: 5000 }, (_, n) => `X-${n}: a`)),
    tooLarge,
  ),
  raw('long URL', head(`GET /${'x'.repeat(9000)} HTTP/1.1`), [414, 'UriTooLong', /8192/]),
  raw('huge URL', head(`GET /${'x'.repeat(40_000)} HTTP/1.1`), tooLarge),
  raw('expectation', head('POST /http/good/web/ HTTP/1.1', 'Expect: wonders', 'Content-Length: 0'), [
    417,
    'InvalidArgument',
    /'wonders'/,
  ]),
  raw('CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n', [
    405,
    'PathNotSupported',
    /CONNECT/,
  ]),
  raw('proxy request', head('GET http://example.com/ HTTP/1.1'), [404, 'PathNotSupported', /example\.com/]),
  raw('asterisk', head('OPTIONS * HTTP/1.1'), [404, 'PathNotSupported', /OPTIONS/]),
];

const CASES: readonly Malformed[] = [
  ...JSON_CASES,
  ...FIELD_CASES,
  ...ZIP_CASES,
  ...RESOURCE_CASES,
  ...INVOKE_CASES,
  ...SIGNATURE_CASES,
  ...TRIGGER_CASES,
  ...RAW_CASES,
];

test(`${CASES.length} malformed requests are each told what is wrong, and nothing dies`, async (t) => {
  assert.ok(CASES.length >= 100);
  const platform = await startPlatform(t);
  await createFunction(platform, 'good', { code: "exports.handler = async () => 'fine';" });
  await createHttpTrigger(platform, 'good', { methods: ['GET', 'POST'] });
  assert.equal(
    (await signedCall(platform, { method: 'POST', path: `${FUNCTIONS}/good/versions` })).status,
    200,
  );

  for (const { name, request, status, code, says } of CASES) {
    await t.test(name, async () => {
      const answer = await request(platform);
      const text = answer.body.toString();
      assert.equal(answer.status, status, text);
      const told = jsonOf<{ RequestId: string; Code: string; Message: string }>(answer);
      assert.equal(typeof told.RequestId, 'string');
      assert.equal(told.Code, code, text);
      assert.match(told.Message, says);
      assert.doesNotMatch(
        told.Message,
        /\/tmp\/|node_modules|\.ts\b/,
        "a path of the machine is nobody else's business",
      );
    });
  }

  const health = await send(platform.url, { path: '/healthz' });
  assert.equal(health.status, 200);
  process.kill(platform.pid, 0);
  assert.equal((await invoke(platform, 'good')).body.toString(), 'fine');
  const listed = await signedCall(platform, { method: 'GET', path: FUNCTIONS });
  const names = jsonOf<{ functions: { functionName: string }[] }>(listed).functions.map(
    (each) => each.functionName,
  );
  assert.deepEqual(names, ['good'], 'nothing that was refused was made');
  assert.doesNotMatch(platform.output(), /error|failed/i);
});
