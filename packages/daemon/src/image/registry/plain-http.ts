import { isIP } from 'node:net';

/** Whether a registry may be asked without TLS: on this machine's loopback, or where the operator says so. */
export function mayUsePlainHttp(host: string, insecureRegistries: readonly string[]): boolean {
  const name = host.replace(/:[0-9]+$/u, '').toLowerCase();
  if (insecureRegistries.some((each) => each.toLowerCase() === host || each.toLowerCase() === name))
    return true;
  if (name === 'localhost' || name === '[::1]') return true;
  return isIP(name) === 4 && name.startsWith('127.');
}
