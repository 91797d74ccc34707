import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { isLocalPlatform } from '../api/platform.ts';
import type { Command } from '../command.ts';

interface Options {
  readonly template?: string;
}

export const command: Command = {
  name: 'dev',
  summary: 'run functions straight from their directories while you edit them',
  details:
    'Deploys the s.yaml once; from then on every change of the code runs with the next request, and the logs are ' +
    'shown. A change of the s.yaml deploys it again. When it ends, the deployed code runs again.',
  options: [{ flags: '-t, --template <file>', summary: 'the file (default: s.yaml or s.yml here)' }],
  examples: [{ run: 'thaw dev', does: 'the functions of ./s.yaml, until Ctrl-C' }],
  run: async (context, _args, { template }: Options) => {
    const { findTemplate } = await import('../s-yaml/read-s-yaml.ts');
    const { DevLoop } = await import('../dev/dev-loop.ts');
    const platform = await context.findPlatform();
    if (!isLocalPlatform(platform)) {
      throw new ThawError('INVALID_ARGUMENT', `the platform at ${platform.url} is on another machine`, {
        details: {
          advice:
            '`thaw dev` runs code from a directory of this one: start a platform here with `thaw serve`.',
        },
      });
    }
    const file = findTemplate(template, process.cwd());
    await new DevLoop(context, await context.connect(), file).run();
  },
};
