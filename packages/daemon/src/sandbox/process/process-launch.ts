import { findProgram } from '../launcher/run-program.ts';
import { innerCommand, startMark } from '../launcher/inner-command.ts';
import type { LaunchDriver } from '../launcher/launch.ts';

const SHELL = '/bin/sh';
/**
 * The limit on processes can only be set when the launcher is out of the new group again; until then the command waits,
 * or it could make as many as it likes. A pipe that ends without the word means that the launcher is gone.
 */
const WAIT_FOR_GO = 'read -r _ <&3 || exit 1; exec 3<&-; exec "$@"';

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
    limitsProcesses: false,
    cannotSpecialize: 'plain processes see the files of the host',
    prepare(spec) {
      if (spec.root !== undefined)
        throw new Error('plain processes have no root of their own: images need bubblewrap');
      if (spec.loopbackPort !== undefined) {
        throw new Error('plain processes have no network of their own to listen in');
      }
      if (spec.lateTargets !== undefined) throw new Error('plain processes take no late mounts');
      const inner = innerCommand(spec, env);
      const command =
        setpriv === undefined ? inner : [setpriv, '--pdeathsig', 'KILL', '--no-new-privs', ...inner];
      const [program, ...args] = [SHELL, '-c', WAIT_FOR_GO, startMark(spec.id), ...command];
      return Promise.resolve({
        program,
        args,
        directory: spec.workingDirectory,
        files: [],
        reportsStatus: false,
        enterNetwork: undefined,
        connectNetwork: undefined,
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
