import { nativePath } from '../../api/client.ts';
import type { ImageAnswer } from '../../api/image-wire.ts';
import type { Command } from '../../command.ts';
import { formatBytes } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

/** As many digits as tell images of one machine apart. */
const DIGEST_CHARACTERS = 'sha256:'.length + 12;

export const command: Command = {
  name: 'image ls',
  summary: 'list the images that functions run from',
  examples: [{ run: 'thaw image ls', does: 'how far each is, how large, and who uses it' }],
  run: async ({ output, connect }) => {
    const client = await connect();
    const { images } = await client.json<{ images: readonly ImageAnswer[] }>({
      method: 'GET',
      path: nativePath('images'),
    });
    output.result(images, () => {
      if (images.length === 0) return ['No function runs from an image.'];
      const rows = images.map((each) => [
        each.digest.slice(0, DIGEST_CHARACTERS),
        each.state === 'ready' ? (each.mode ?? 'ready') : each.state,
        formatBytes(each.bytes),
        String(each.layerCount),
        String(each.instances),
        each.usedBy.map(({ functionName, versionId }) => `${functionName}@${versionId}`).join(' '),
        each.uri.split('@')[0] ?? '',
      ]);
      return formatTable(
        output,
        ['DIGEST', 'STATE', 'SIZE', 'LAYERS', 'INSTANCES', 'USED BY', 'IMAGE'],
        rows,
      );
    });
  },
};
