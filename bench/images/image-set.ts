import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageNode, FirstRequest } from './image-node.ts';

/** Where the images of the document are: what `examples/images/build.sh` is given as its directory. */
export const IMAGES_VARIABLE = 'THAW_BENCH_IMAGES';
export const IMAGES_DIRECTORY = process.env[IMAGES_VARIABLE] ?? '/tmp/thaw-images';
const BUILD = 'examples/images/build.sh';

export interface BenchImage {
  /** Of its directory. */
  readonly name: string;
  /** As the document calls it. */
  readonly title: string;
  /** What is asked of a new instance; `node` has one that can be asked for what the request needs. */
  readonly request: (node: ImageNode, functionName: string) => FirstRequest | Promise<FirstRequest>;
}

export interface BuiltImage extends BenchImage {
  readonly directory: string;
  /** Of its manifest. */
  readonly digest: string;
}

const PAGE = '<!doctype html><title>Thaw</title><h1 style="color:#0b7a75">A page</h1><p>to be rendered</p>';
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47]);

export const IMAGES: readonly BenchImage[] = [
  {
    name: 'inference',
    title: 'AI online inference',
    request: async (node, functionName) => ({
      method: 'POST',
      path: '/classify',
      body: await node.bodyOf(functionName, '/pictures/7.png'),
      isRight: (body) => Number(valueIn(body, 'digit')) === 7,
    }),
  },
  {
    name: 'flask',
    title: 'Flask web service',
    request: () => ({ method: 'GET', path: '/', isRight: (body) => body.includes('Guest book') }),
  },
  {
    name: 'machine-learning',
    title: 'Python machine learning',
    request: () => ({
      method: 'POST',
      path: '/fit',
      body: Buffer.from(JSON.stringify({ model: 'forest', dataset: 'digits' })),
      isRight: (body) => Number(valueIn(body, 'accuracy')) > 0.9,
    }),
  },
  {
    name: 'chrome',
    title: 'Headless Chrome',
    request: () => ({
      method: 'POST',
      path: '/screenshot',
      body: Buffer.from(PAGE),
      isRight: (body) => body.subarray(0, 4).equals(PNG) && body.length > 1000,
    }),
  },
];

/** Those that are built, and a sentence for each that is not. */
export function findImages(): {
  readonly images: readonly BuiltImage[];
  readonly missing: readonly string[];
} {
  const images: BuiltImage[] = [];
  const missing: string[] = [];
  for (const image of IMAGES) {
    const directory = join(IMAGES_DIRECTORY, image.name);
    const digest = digestOf(directory);
    if (digest === undefined)
      missing.push(
        `${image.title} is left out, as there is no image in ${directory}: \`${BUILD} ${IMAGES_DIRECTORY} ${image.name}\` builds it, ${IMAGES_VARIABLE} names another directory`,
      );
    else images.push({ ...image, directory, digest });
  }
  return { images, missing };
}

function digestOf(directory: string): string | undefined {
  const index = join(directory, 'index.json');
  if (!existsSync(index)) return undefined;
  const { manifests }: { manifests: { digest: string }[] } = JSON.parse(readFileSync(index, 'utf8'));
  return manifests[0]?.digest;
}

function valueIn(body: Buffer, name: string): unknown {
  const value: unknown = JSON.parse(body.toString());
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
