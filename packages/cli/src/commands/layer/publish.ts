import { resolve } from 'node:path';
import { apiPath } from '../../api/client.ts';
import type { LayerAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';

interface Options {
  readonly code: string;
  readonly runtime?: readonly string[];
  readonly description?: string;
}

export const command: Command = {
  name: 'layer publish',
  summary: 'publish the next version of a layer',
  details: 'What is in the directory appears under /opt of the functions that name the layer.',
  arguments: [{ name: 'layer', summary: 'its name' }],
  options: [
    { flags: '--code <path>', summary: 'a directory or a zip', default: '.' },
    { flags: '--runtime <name>', summary: 'a runtime it is for; may be given several times', many: true },
    { flags: '--description <text>', summary: 'what is in it' },
  ],
  examples: [
    {
      run: 'thaw layer publish pillow --code ./layer --runtime python3.12',
      does: './layer/python/… under /opt',
    },
  ],
  run: async ({ output, connect }, [name = ''], { code, runtime, description }: Options) => {
    const { packCode } = await import('../../package/pack-code.ts');
    const { sendCode } = await import('../../api/upload.ts');
    const client = await connect();
    await using zip = await packCode(resolve(code));
    const layer = await client.json<LayerAnswer>({
      method: 'POST',
      path: apiPath('layers', name, 'versions'),
      json: {
        code: await sendCode(client, zip),
        compatibleRuntime: runtime ?? [],
        description: description ?? '',
      },
    });
    output.result(layer, () => [
      `published version ${layer.version} of layer ${name}`,
      layer.layerVersionArn ?? '',
    ]);
  },
};
