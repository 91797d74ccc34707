import type { Command } from '../command.ts';
import { exitCodeOfFault } from '../exit-code.ts';

interface Options {
  readonly template?: string;
  readonly only?: readonly string[];
  readonly bundle?: boolean;
}

export const command: Command = {
  name: 'deploy',
  summary: 'bring the functions of an s.yaml to the platform',
  details:
    'Reads Serverless Devs files (edition 3.0.0, component fc3). Uploads code and changes settings only where they ' +
    'differ, and does nothing when nothing changed. Files named in .fcignore stay out of the code.',
  options: [
    { flags: '-t, --template <file>', summary: 'the file (default: s.yaml or s.yml here)' },
    { flags: '--only <names...>', summary: 'deploy only these resources of the file' },
    {
      flags: '--bundle',
      summary:
        'make one file of each Node handler and all that it imports (TypeScript too), which starts faster',
    },
  ],
  examples: [
    { run: 'thaw deploy', does: 'everything in ./s.yaml' },
    { run: 'thaw deploy -t staging.yaml --only api', does: 'one resource of another file' },
  ],
  run: async ({ output, signal, environment, connect }, _args, options: Options) => {
    const { findTemplate, readSYaml } = await import('../s-yaml/read-s-yaml.ts');
    const { deployProject, selectResources } = await import('../deploy/deploy-project.ts');
    const project = await readSYaml(findTemplate(options.template, process.cwd()), environment);
    const resources = selectResources(project, options.only ?? []);
    const client = await connect();
    const { results, failure } = await deployProject(
      { client, output, signal, isBundled: options.bundle === true },
      resources,
    );
    output.result({ file: project.file, results }, () => []);
    return failure === undefined ? 0 : exitCodeOfFault(failure.fault);
  },
};
