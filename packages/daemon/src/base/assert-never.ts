/** Marks the branch that the types say cannot be reached; reaching it is a programmer's mistake. */
export function assertNever(value: never, what: string): never {
  throw new Error(`unexpected ${what}: ${JSON.stringify(value)}`);
}
