import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath } from '../../api/client.ts';
import type { AliasAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { parseWeights } from '../../option-values.ts';
import { describeTraffic } from './describe.ts';

interface Options {
  readonly version?: string;
  readonly weight?: readonly string[];
  readonly description?: string;
}

export const command: Command = {
  name: 'alias set',
  summary: 'make an alias, or point it elsewhere',
  details:
    'Without --weight all traffic goes to --version. What is not given stays as it is where the alias exists, except ' +
    'that --version alone takes all weights away.',
  arguments: [
    { name: 'function', summary: "the function's name" },
    { name: 'alias', summary: "the alias's name" },
  ],
  options: [
    { flags: '--version <number>', summary: 'the version it points to' },
    {
      flags: '--weight <version=share>',
      summary: 'a share of traffic (0 to 1) for a further version; may be given several times',
      many: true,
    },
    { flags: '--description <text>', summary: 'what it is for' },
  ],
  examples: [
    { run: 'thaw alias set hello prod --version 2', does: 'all of prod goes to version 2' },
    { run: 'thaw alias set hello prod --version 2 --weight 3=0.2', does: 'a fifth of it tries version 3' },
  ],
  run: async ({ output, connect }, [name = '', aliasName = ''], options: Options) => {
    const weights = options.weight === undefined ? undefined : parseWeights(options.weight);
    const client = await connect();
    const path = apiPath('functions', name, 'aliases', aliasName);
    const existing = await client.find<AliasAnswer>({ method: 'GET', path });
    if (existing === undefined && options.version === undefined) {
      throw new ThawError('INVALID_ARGUMENT', `the alias '${aliasName}' is new, so it needs --version`);
    }
    const changes = {
      ...(options.version === undefined ? {} : { versionId: options.version, additionalVersionWeight: {} }),
      ...(weights === undefined ? {} : { additionalVersionWeight: weights }),
      ...(options.description === undefined ? {} : { description: options.description }),
    };
    const alias = await client.json<AliasAnswer>(
      existing === undefined
        ? { method: 'POST', path: apiPath('functions', name, 'aliases'), json: { aliasName, ...changes } }
        : { method: 'PUT', path, json: changes },
    );
    output.result(alias, () => [`${name}:${aliasName} -> ${describeTraffic(alias)}`]);
  },
};
