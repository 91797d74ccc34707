/**
 * How a program that lives for one request gets variables that are known only when the request is there.
 *
 * The environment of a process is fixed when it starts, and so is a sandbox's; starting the sandbox only when the request
 * has come would put its start on the caller's path even where an instance stands ready. So the sandbox runs a shell that
 * waits for one line on stdin, takes its assignments, and becomes the program: what follows the line is the payload, and
 * the shell has read none of it, because `read` must not take a byte beyond its line (POSIX, `read`).
 *
 * The line is shell text. It is made here alone, of names that are checked and values in single quotes, in which a shell
 * leaves every byte as it is but the quote itself and the zero byte; the end of a line inside a value is a variable of the
 * shell's own. No variable of the shell's is left for the program.
 */
const STARTER = `THAW_LINE_END='
'
IFS= read -r THAW_REQUEST && eval "$THAW_REQUEST" && unset THAW_REQUEST THAW_LINE_END && exec "$@"`;

export const SHELL = '/bin/sh';

/** The command that waits for the line and then becomes `command`. */
export function waitingCommand(command: readonly [string, ...string[]]): [string, ...string[]] {
  return [SHELL, '-c', STARTER, SHELL, ...command];
}

/** The line for these variables, its end included. */
export function requestLine(variables: ReadonlyMap<string, string>): Buffer {
  const assignments = [...variables].map(([name, value]) => {
    if (!/^[A-Z_][A-Z0-9_]*$/u.test(name)) throw new Error(`${name} is no name for a shell's variable`);
    return `${name}=${quote(value)}`;
  });
  const names = [...variables.keys()].join(' ');
  const text = assignments.length === 0 ? ':' : `${assignments.join('; ')}; export ${names}`;
  return Buffer.from(`${text}\n`, 'utf8');
}

function quote(value: string): string {
  return `'${value.replaceAll('\0', '').replaceAll("'", `'\\''`).replaceAll('\n', `'"$THAW_LINE_END"'`)}'`;
}
