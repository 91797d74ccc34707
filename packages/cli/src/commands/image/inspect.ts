import { nativePath } from '../../api/client.ts';
import type { ImageDetails } from '../../api/image-wire.ts';
import type { Command } from '../../command.ts';
import { formatBytes } from '../../output/format.ts';
import { formatPairs, type Output } from '../../output/output.ts';

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
    output.result(image, () => describe(output, image));
  },
};

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
