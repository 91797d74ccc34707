/** A path as `/proc/self/mountinfo` has it, where blanks, line ends and backslashes are octal numbers. */
export function mountPath(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/gu, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
