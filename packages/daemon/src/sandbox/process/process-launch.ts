import { findProgram } from '../launcher/run-program.ts';
import { innerCommand } from '../launcher/inner-command.ts';
import type { LaunchDriver } from '../launcher/launch.ts';

/**
 * Starts the command as a plain process of the platform's own user: for machines where no sandbox works. Mounts,
 * network and temporary files are those of the host; only the limits of cgroups hold.
 */
export function openProcessDriver(): LaunchDriver {
  const env = findProgram('env') ?? '/usr/bin/env';
  const setpriv = findProgram('setpriv');
  const shortcomings = [
    'functions are not isolated: they see the files, processes and network of this machine as the user who runs Thaw',
    'temporary files are not limited and are shared',
    'a process that makes a session of its own may outlive its sandbox where no cgroup holds it',
  ];
  if (setpriv === undefined) {
    shortcomings.push(
      'setpriv is not installed: when Thaw is killed, functions run on until it starts again',
    );
  }
  return {
    name: 'process',
    shortcomings,
    prepare(spec) {
      if (spec.loopbackPort !== undefined) {
        throw new Error('plain processes have no network of their own to listen in');
      }
      const inner = innerCommand(spec, env);
      const [program = env, ...args] =
        setpriv === undefined ? inner : [setpriv, '--pdeathsig', 'KILL', '--no-new-privs', ...inner];
      return Promise.resolve({
        program,
        args,
        directory: spec.workingDirectory,
        files: [],
        reportsStatus: false,
        waitsForGo: false,
        enterNetwork: undefined,
        ownProcesses: 0,
        reach:
          spec.server === undefined
            ? undefined
            : { kind: 'direct', address: { host: '127.0.0.1', port: spec.server.port } },
        release: () => undefined,
      });
    },
    close: () => Promise.resolve(),
  };
}
