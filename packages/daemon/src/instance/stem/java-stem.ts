import type { SandboxSpec } from '../../sandbox/sandbox.ts';

/** Every function's fit, with what the platform adds to them: its own have 4 KiB at most. */
const VARIABLES = 128;
const VARIABLE_BYTES = 64;
/** Is there only while a stem becomes a function's. */
const CLASS_PATH = '/tmp/.thaw-class-path.jar';

/**
 * What a Java stem is started with instead of a function's class path and variables (`Environ.java`, `ClassPath.java`): room
 * for any function's variables, and one entry that will name the class path. It works in `/code` from the start, since it
 * cannot go there later.
 */
export function javaStem(
  command: readonly [string, ...string[]],
): Pick<SandboxSpec, 'command' | 'environment'> {
  const [program, ...args] = command;
  const at = args.indexOf('-cp') + 1;
  const shim = args[at]?.split(':', 1)[0] ?? '';
  const room = Array.from({ length: VARIABLES }, (_, index): [string, string] => {
    const name = `THAW_ROOM_${index}`;
    return [name, '-'.repeat(VARIABLE_BYTES - name.length - 2)];
  });
  return {
    command: [program, ...args.with(at, `${shim}:${CLASS_PATH}`), CLASS_PATH],
    environment: Object.fromEntries(room),
  };
}

/** Whether a stem has room for these. */
export function fitsJavaStem(environment: Readonly<Record<string, string>>): boolean {
  const variables = Object.entries(environment);
  const bytes = variables.reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 2,
    0,
  );
  return variables.length <= VARIABLES && bytes <= VARIABLES * VARIABLE_BYTES;
}
