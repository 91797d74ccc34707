import { nativePath } from '../../api/client.ts';
import type { ImageDetails } from '../../api/image-wire.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatPairs, formatTable, type Output } from '../../output/output.ts';

export const command: Command = {
  name: 'image inspect',
  summary: 'show one image: what it is made of, what it says of itself, how far it is',
  arguments: [{ name: 'image', summary: 'its digest, the first characters of that, or its whole name' }],
  examples: [
    { run: 'thaw image inspect 3b1f5c8a90de', does: 'layers, command, user, and why it is not here' },
  ],
  run: async ({ output, connect }, [name = '']) => {
    const client = await connect();
    const image = await client.json<ImageDetails>({ method: 'GET', path: nativePath('images', name) });
    const { starts } = await client.json<{ starts: readonly StartAnswer[] }>({
      method: 'GET',
      path: nativePath('image-starts', image.digest),
    });
    output.result({ ...image, starts }, () => [
      ...describe(output, image),
      ...describeStarts(output, starts),
    ]);
  },
};

/** How one instance got its files; `docs/ARCHITECTURE.md`, "Images, lazily", defines the figures. */
interface StartAnswer {
  readonly versionKey: string;
  readonly atMs: number;
  readonly mode: string;
  readonly mountMs: number;
  readonly lazy?: {
    readonly reads: number;
    readonly readBytes: number;
    readonly demanded: Shares;
    readonly prefetched: Shares;
    readonly requests: Readonly<Record<string, number>>;
    readonly replay?: { readonly planned: number; readonly demanded: number; readonly misses: number };
  };
}
type Shares = Readonly<Record<string, { readonly chunks: number; readonly bytes: number }>>;

const STARTS_SHOWN = 8;

function describeStarts(output: Output, starts: readonly StartAnswer[]): readonly string[] {
  if (starts.length === 0) return [];
  const rows = starts
    .slice(-STARTS_SHOWN)
    .map(({ versionKey, atMs, mode, mountMs, lazy }) => [
      formatTime(atMs),
      versionKey,
      mode,
      `${Math.round(mountMs)} ms`,
      lazy === undefined ? '' : formatBytes(lazy.readBytes),
      shares(lazy?.demanded),
      shares(lazy?.prefetched),
      lazy?.replay === undefined ? '' : `${lazy.replay.misses} of ${lazy.replay.demanded}`,
    ]);
  const header = ['START', 'VERSION', 'MODE', 'MOUNT', 'READ', 'DEMANDED', 'AHEAD', 'MISSED BY TRACE'];
  return ['', ...formatTable(output, header, rows)];
}

function shares(by: Shares | undefined): string {
  return Object.entries(by ?? {})
    .map(([tier, { bytes }]) => `${tier} ${formatBytes(bytes)}`)
    .join(', ');
}

function describe(output: Output, image: ImageDetails): readonly string[] {
  const { config } = image;
  const variables = Object.entries(config.environment).map(([name, value]) => `${name}=${value}`);
  return formatPairs(output, [
    ['image', image.uri],
    ['digest', image.digest],
    ['platform', `${config.os}/${config.architecture}`],
    ['state', image.state],
    ['mode', image.mode],
    ['reason', image.reason],
    ['error', image.error === undefined ? undefined : `${image.error.code}: ${image.error.message}`],
    ['size', `${formatBytes(image.bytes)} in ${image.layerCount} layers`],
    ['layers', image.layers.map(({ digest, size }) => `${digest} ${formatBytes(size)}`).join('\n')],
    ['entrypoint', config.entrypoint.join(' ')],
    ['command', config.command.join(' ')],
    ['user', config.user],
    ['directory', config.workingDirectory],
    ['ports', config.ports.join(' ')],
    ['environment', variables.join('\n')],
    ['instances', String(image.instances)],
    ['used by', image.usedBy.map(({ functionName, versionId }) => `${functionName}@${versionId}`).join('\n')],
  ]);
}
