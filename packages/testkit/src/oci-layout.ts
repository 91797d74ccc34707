import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { pack, type Header } from 'tar-stream';

/** One entry of a layer; `content` is a file's. Nothing about it is checked: tests build what nobody should. */
export type TarEntry = Partial<Header> & { readonly name: string; readonly content?: string | Buffer };

export interface SampleImage {
  /** From the lowest up: entries, or the bytes of a tar as they are. */
  readonly layers: readonly (readonly TarEntry[] | Buffer)[];
  readonly compression?: 'gzip' | 'zstd' | 'none';
  /** `config` of the image configuration: `Env`, `User`, `Cmd`, … */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly tag?: string;
  /** Over what is right, to make it wrong. */
  readonly diffIds?: readonly string[];
  readonly architecture?: string;
}

export interface WrittenImage {
  readonly digest: string;
  readonly layers: readonly { readonly digest: string; readonly size: number; readonly diffId: string }[];
}

const MEDIA_TYPES = {
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  none: 'application/vnd.oci.image.layer.v1.tar',
} as const;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** The bytes of a tar with these entries. */
export async function tar(entries: readonly TarEntry[]): Promise<Buffer> {
  const archive = pack();
  for (const { content = '', ...header } of entries) {
    const isFile = header.type === undefined || header.type === 'file';
    archive.entry(
      { mtime: new Date(1_600_000_000_000), mode: header.type === 'directory' ? 0o755 : 0o644, ...header },
      isFile ? content : '',
    );
  }
  archive.finalize();
  return await buffer(archive);
}

/** Writes an image into a directory in the OCI image layout, beside those that are there. */
export async function writeOciLayout(directory: string, image: SampleImage): Promise<WrittenImage> {
  const { compression = 'gzip', tag = 'latest' } = image;
  await mkdir(join(directory, 'blobs/sha256'), { recursive: true });
  const put = async (bytes: Buffer): Promise<{ digest: string; size: number }> => {
    const digest = sha256(bytes);
    await writeFile(join(directory, 'blobs/sha256', digest.slice('sha256:'.length)), bytes);
    return { digest, size: bytes.length };
  };
  const layers = [];
  for (const layer of image.layers) {
    const bytes = Buffer.isBuffer(layer) ? layer : await tar(layer);
    const compressed =
      compression === 'gzip' ? gzipSync(bytes) : compression === 'zstd' ? zstdCompressSync(bytes) : bytes;
    layers.push({ ...(await put(compressed)), diffId: sha256(bytes) });
  }
  const config = await put(
    json({
      architecture: image.architecture ?? ARCHITECTURES[process.arch],
      os: 'linux',
      config: image.config ?? {},
      rootfs: { type: 'layers', diff_ids: image.diffIds ?? layers.map(({ diffId }) => diffId) },
      history: [],
    }),
  );
  const manifest = await put(
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: layers.map(({ digest, size }) => ({ mediaType: MEDIA_TYPES[compression], digest, size })),
    }),
  );
  await addToIndex(directory, {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    ...manifest,
    annotations: { 'org.opencontainers.image.ref.name': tag },
  });
  return { digest: manifest.digest, layers };
}

interface IndexEntry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

async function addToIndex(directory: string, entry: IndexEntry): Promise<void> {
  const file = join(directory, 'index.json');
  const before: { manifests: IndexEntry[] } = await readFile(file, 'utf8').then(
    (text) => JSON.parse(text),
    () => ({ manifests: [] }),
  );
  const name = 'org.opencontainers.image.ref.name';
  const others = before.manifests.filter((each) => each.annotations?.[name] !== entry.annotations?.[name]);
  await writeFile(join(directory, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  await writeFile(file, json({ schemaVersion: 2, manifests: [...others, entry] }));
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
