import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import * as fc from 'fast-check';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { ZipFile } from 'yazl';
import { unpackZip, type UnpackLimits } from './unpack-zip.ts';

/** One entry as the bytes of a zip have it: whatever a hostile program could write. */
interface RawEntry {
  readonly name: string | Buffer;
  readonly content?: string | Buffer;
  readonly mode?: number;
  readonly flags?: number;
  readonly method?: number;
  readonly crc?: number;
  readonly sizeInHeader?: number;
}

const FILE = 0o100644;
const LINK = 0o120777;
const DEFLATE = 8;

function rawZip(entries: readonly RawEntry[]): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const { name, content = '', mode = FILE, flags = 0x800, method = 0, crc, sizeInHeader } of entries) {
    const plain = typeof content === 'string' ? Buffer.from(content) : content;
    const data = method === DEFLATE ? deflateRawSync(plain) : plain;
    const nameBytes = typeof name === 'string' ? Buffer.from(name) : name;
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(crc ?? crc32(plain), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(sizeInHeader ?? plain.length, 18);
    common.writeUInt16LE(nameBytes.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, nameBytes, data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((mode << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    const madeBy = Buffer.from([20, 3]);
    central.push(Buffer.concat([Buffer.from('PK\x01\x02'), madeBy, common, tail, nameBytes]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'thaw-unpack-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

async function unpack(zip: Buffer, work: (directory: string) => Promise<void> | void, limits?: UnpackLimits) {
  await using base = await temporaryDirectory();
  await mkdir(join(base.path, 'inner'));
  await writeFile(join(base.path, 'x.zip'), zip);
  const target = join(base.path, 'inner', 'out');
  try {
    await unpackZip(join(base.path, 'x.zip'), target, limits);
    await work(target);
  } finally {
    // Nothing beside the target, whatever the zip says.
    assert.deepEqual((await readdir(base.path)).toSorted(), ['inner', 'x.zip']);
    assert.deepEqual(
      (await readdir(join(base.path, 'inner'))).filter((name) => name !== 'out'),
      [],
    );
  }
}

const refused = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ThawError, String(error));
  assert.equal(error.code, 'INVALID_CODE_PACKAGE', error.message);
  assert.match(error.message, pattern);
  return true;
};

describe('unpacking a zip', () => {
  it('gives every file, directory and inner link, readable by all and written by none', async () => {
    const zip = new ZipFile();
    zip.addBuffer(Buffer.from('module'), 'index.js', { mode: 0o100600 });
    zip.addBuffer(Buffer.alloc(300_000, 'x'), 'deep/bin/tool', { mode: 0o104755 });
    zip.addEmptyDirectory('empty');
    zip.addBuffer(Buffer.from('../bin/tool'), 'deep/lib/link', { mode: LINK, compress: false });
    zip.addBuffer(Buffer.from('grüße'), 'naïve-名.txt');
    zip.end();
    await unpack(await buffer(zip.outputStream), async (out) => {
      const mode = async (path: string) => ((await stat(join(out, path))).mode & 0o7777).toString(8);
      assert.equal(await readFile(join(out, 'index.js'), 'utf8'), 'module');
      assert.equal((await readFile(join(out, 'deep/lib/link'))).length, 300_000);
      assert.equal(await readlink(join(out, 'deep/lib/link')), '../bin/tool');
      assert.equal(await readFile(join(out, 'naïve-名.txt'), 'utf8'), 'grüße');
      assert.deepEqual(await Promise.all(['index.js', 'deep/bin/tool', 'empty', 'deep', '.'].map(mode)), [
        '444',
        '555',
        '755',
        '755',
        '755',
      ]);
    });
  });

  it('takes an empty zip, a named root, a directory named late and stored entries', async () => {
    await unpack(rawZip([]), async (out) => assert.deepEqual(await readdir(out), []));
    const entries = [
      { name: './', mode: 0o040755 },
      { name: 'a/b.txt', content: 'b', method: DEFLATE },
      { name: 'a/', mode: 0o040700 },
      { name: './a//c.txt', content: 'c', mode: 0 },
    ];
    await unpack(rawZip(entries), async (out) => {
      assert.deepEqual((await readdir(join(out, 'a'))).toSorted(), ['b.txt', 'c.txt']);
      assert.equal((await lstat(join(out, 'a'))).mode & 0o777, 0o755);
    });
  });

  const cases: readonly (readonly [string, readonly RawEntry[], RegExp])[] = [
    ['a path upwards', [{ name: '../evil' }], /"\.\.\/evil" leads out/],
    ['an inner path upwards', [{ name: 'a/../../evil' }], /leads out/],
    ['an absolute path', [{ name: '/etc/passwd' }], /absolute/],
    ['a backslash', [{ name: '..\\evil' }], /backslash/],
    ['a NUL', [{ name: 'a\0b' }], /NUL/],
    ['a drive letter', [{ name: 'C:evil' }], /drive letter/],
    ['no name', [{ name: '' }], /no name/],
    ['a name that is the root', [{ name: '.' }], /no name/],
    ['a name that is not UTF-8', [{ name: Buffer.from([0x61, 0xff]) }], /not UTF-8/],
    ['a long component', [{ name: 'a'.repeat(256) }], /255 bytes/],
    ['a long path', [{ name: 'aaaaaaa/'.repeat(300) + 'a' }], /2048 bytes/],
    ['a duplicate', [{ name: 'a' }, { name: './a' }], /"a" is there twice/],
    ['a file below a file', [{ name: 'a' }, { name: 'a/b' }], /stands below "a", which is a file/],
    ['a file where a directory is', [{ name: 'a/b' }, { name: 'a' }], /twice/],
    ['a file below a link', [{ name: 'a', content: '.', mode: LINK }, { name: 'a/b' }], /which is a link/],
    [
      'a link upwards',
      [{ name: 'a', content: '../x', mode: LINK }],
      /"a" leads out of the package to "\.\.\/x"/,
    ],
    ['an absolute link', [{ name: 'a', content: '/etc', mode: LINK }], /leads out/],
    ['an empty link', [{ name: 'a', content: '', mode: LINK }], /no valid target/],
    ['a huge link', [{ name: 'a', content: 'x'.repeat(5000), mode: LINK }], /4096/],
    [
      'a loop of links',
      [
        { name: 'a', content: 'b', mode: LINK },
        { name: 'b', content: 'a', mode: LINK },
      ],
      /more than 40/,
    ],
    [
      'a link that leads out through another',
      [
        { name: 'top', content: 'd/e/f/up/../x', mode: LINK },
        { name: 'd/e/f/up', content: '../../..', mode: LINK },
      ],
      /leads out/,
    ],
    [
      'links that are tangled',
      [{ name: 'a', content: './'.repeat(2_001), mode: LINK }],
      /more than 2000 names/,
    ],
    ['a device', [{ name: 'a', mode: 0o020666 }], /no file, directory or link/],
    ['a pipe', [{ name: 'a', mode: 0o010666 }], /no file/],
    ['a link named as a directory', [{ name: 'a/', content: 'b', mode: LINK }], /no file/],
    [
      'an encrypted entry',
      [{ name: 'a', content: 'secret', flags: 0x801, sizeInHeader: 0 }],
      /size mismatch|encrypted/,
    ],
    [
      'a deflated encrypted entry',
      [{ name: 'a', content: 'secret', flags: 0x801, method: DEFLATE }],
      /"a" is encrypted/,
    ],
    ['an unknown compression', [{ name: 'a', method: 12 }], /method 12/],
    ['a wrong checksum', [{ name: 'a', content: 'x', crc: 1 }], /"a" is damaged/],
    [
      'a size that lies',
      [{ name: 'a', content: 'x'.repeat(1000), method: DEFLATE, sizeInHeader: 10 }],
      /"a" is damaged/,
    ],
  ];
  for (const [what, entries, pattern] of cases) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(
        unpack(rawZip(entries), () => assert.fail('it was unpacked')),
        refused(pattern),
      );
    });
  }

  it('refuses what is not a zip or not all of one', async () => {
    const whole = rawZip([{ name: 'a', content: 'x'.repeat(5000) }]);
    for (const bytes of [Buffer.alloc(0), Buffer.from('hello'), whole.subarray(0, -1), whole.subarray(100)]) {
      await assert.rejects(
        unpack(bytes, () => assert.fail('it was unpacked')),
        refused(/not a readable zip|damaged/),
      );
    }
  });

  it('counts entries, implied directories and bytes as they come', async () => {
    const limits = { entriesMax: 5, bytesMax: 10_000 };
    const many = Array.from({ length: 6 }, (_, n) => ({ name: `f${n}` }));
    await assert.rejects(
      unpack(rawZip(many), () => {}, limits),
      refused(/6 entries, more than 5/),
    );
    await assert.rejects(
      unpack(rawZip([{ name: 'a/b/c/d/e/f' }]), () => {}, limits),
      refused(/more than 5/),
    );
    const bomb = [{ name: 'bomb', content: Buffer.alloc(1_000_000), method: DEFLATE }];
    await assert.rejects(
      unpack(rawZip(bomb), () => {}, limits),
      refused(/larger than 10000 bytes.*"bomb"/),
    );
  });

  it('refuses offsets beyond the file without harm', async () => {
    const zip64 = Buffer.alloc(20 + 22, 0);
    zip64.write('PK\x06\x07', 'latin1');
    zip64.fill(0xff, 8, 16);
    zip64.write('PK\x05\x06', 20, 'latin1');
    await assert.rejects(
      unpack(zip64, () => {}),
      refused(/outside the file/),
    );
  });

  it('never writes outside, and never fails otherwise, whatever the names and bytes', async () => {
    const part = fc.constantFrom('..', '.', '', 'a', 'b', '\\', 'C:', '~', '\0', 'ü');
    const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
    const entry = fc.record({
      name,
      content: fc.oneof(name, fc.string()),
      mode: fc.constantFrom(0, FILE, LINK, 0o040755),
    });
    const damage = fc.option(fc.tuple(fc.nat(), fc.nat(255)), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 4 }), damage, async (entries, flip) => {
        const zip = rawZip(entries);
        if (flip !== undefined) zip[flip[0] % zip.length] = flip[1];
        try {
          await unpack(zip, () => {});
        } catch (error) {
          refused(/./)(error);
        }
      }),
      { numRuns: 300 },
    );
  });
});
