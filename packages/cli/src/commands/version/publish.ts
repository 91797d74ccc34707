import { apiPath } from '../../api/client.ts';
import type { VersionAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';

interface Options {
  readonly description?: string;
}

export const command: Command = {
  name: 'version publish',
  summary: 'freeze what a function is now as a numbered version',
  arguments: [{ name: 'function', summary: 'its name' }],
  options: [{ flags: '--description <text>', summary: 'what is in it' }],
  examples: [{ run: 'thaw version publish hello --description "faster"', does: 'the next version of hello' }],
  run: async ({ output, connect }, [name = ''], { description }: Options) => {
    const client = await connect();
    const version = await client.json<VersionAnswer>({
      method: 'POST',
      path: apiPath('functions', name, 'versions'),
      json: { description: description ?? '' },
    });
    output.result(version, () => [`published version ${version.versionId} of ${name}`]);
  },
};
