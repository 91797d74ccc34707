import { apiPath } from '../../api/client.ts';
import { listAll } from '../../api/pages.ts';
import type { LayerAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatTable } from '../../output/output.ts';

export const command: Command = {
  name: 'layer list',
  summary: 'list the layers, each with its newest version',
  examples: [{ run: 'thaw layer list', does: 'with the ARNs that `layers` in s.yaml takes' }],
  run: async ({ output, connect }) => {
    const layers = await listAll<LayerAnswer>(await connect(), apiPath('layers'), 'layers');
    output.result(layers, () => {
      if (layers.length === 0) return ['There are no layers. Publish one with `thaw layer publish`.'];
      const rows = layers.map((each) => [
        each.layerName,
        String(each.version),
        (each.compatibleRuntime ?? []).join(' '),
        formatBytes(each.codeSize ?? 0),
        formatTime(each.createTime),
        each.layerVersionArn ?? '',
      ]);
      return formatTable(output, ['LAYER', 'VERSION', 'RUNTIMES', 'CODE', 'CREATED', 'ARN'], rows);
    });
  },
};
