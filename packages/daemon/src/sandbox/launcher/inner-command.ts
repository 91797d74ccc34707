import type { SandboxSpec } from '../sandbox.ts';

/**
 * The command behind `env -i`, which gives it its environment as the last step. No program that still has rights runs
 * with variables that the user chose: `LD_PRELOAD` would make it run the user's code.
 */
export function innerCommand(spec: SandboxSpec, env: string): string[] {
  const assignments = Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`);
  return [env, '-i', '-u', startMark(spec.id), '--', ...assignments, ...spec.command];
}

/** The command behind `env`, which adds `variables` as the last step and takes away what bwrap itself has set. */
export function innerCommandAdding(
  spec: SandboxSpec,
  env: string | readonly string[],
  variables: readonly (readonly [string, string])[],
): string[] {
  const assignments = variables.map(([name, value]) => `${name}=${value}`);
  const program = typeof env === 'string' ? [env] : env;
  return [...program, '-u', startMark(spec.id), '-u', 'PWD', '--', ...assignments, ...spec.command];
}

/**
 * Stands in the command line of every program up to and including `env` (as a variable to unset that nobody sets): a
 * process whose command line lacks it is the command itself.
 */
export function startMark(id: string): string {
  return `thaw-start-${id}`;
}

/** Why this specification cannot be started, or undefined. */
export function invalidSpec({ id, command, environment }: SandboxSpec): string | undefined {
  if (!/^[A-Za-z0-9][\w.-]{0,63}$/u.test(id)) return `its id ${JSON.stringify(id)} is not a plain name`;
  if (command[0].includes('=') || command[0] === '')
    return `its command ${JSON.stringify(command[0])} is not a program name`;
  const texts = [...command, ...Object.values(environment)];
  if (texts.some((text) => text.includes('\0'))) return 'its command or environment contains a zero byte';
  const badName = Object.keys(environment).find((name) => name === '' || /[=\0]/u.test(name));
  return badName === undefined ? undefined : `${JSON.stringify(badName)} is not a name for a variable`;
}
