/**
 * Variables by which whoever sets them decides what a program loads or opens (those that glibc ignores in programs with
 * more rights than their user). A program that still has rights must not see a user's choice of them; all others are
 * harmless to it.
 */
const GUARDED: ReadonlySet<string> = new Set([
  'GCONV_PATH',
  'GETCONF_DIR',
  'GLIBC_TUNABLES',
  'HOSTALIASES',
  'LOCALDOMAIN',
  'LOCPATH',
  'NIS_PATH',
  'NLSPATH',
  // bwrap sets it itself, so a user's own has to come behind.
  'PWD',
  'RESOLV_HOST_CONF',
  'RES_OPTIONS',
  'TMPDIR',
  'TZDIR',
]);
const GUARDED_PREFIXES = ['LD_', 'MALLOC_'];

export function isGuardedVariable(name: string): boolean {
  return GUARDED.has(name) || GUARDED_PREFIXES.some((prefix) => name.startsWith(prefix));
}
