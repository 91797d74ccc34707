import { closeSync, readFileSync, readdirSync } from 'node:fs';

/** As in Linux's `fcntl.h`, on every architecture. */
const O_CLOEXEC = 0o2000000;
const STANDARD_ERROR = 2;

/**
 * Closes what whoever started the platform left open for all of its children: a descriptor without close-on-exec would
 * pass through every program on the way into each sandbox. What Node opens for itself is marked and stays.
 */
export function closeInheritedDescriptors(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const descriptor = Number(name);
    if (descriptor > STANDARD_ERROR && !isClosedOnExec(descriptor)) closeSync(descriptor);
  }
}

/** The descriptor that the directory was read through is gone already, and counts as closed. */
function isClosedOnExec(descriptor: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/mu.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & O_CLOEXEC) !== 0;
  } catch {
    return true;
  }
}
