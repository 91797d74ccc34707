/** Names of runtimes that this version runs, in FC's spelling and continuing it for newer releases. */
export const RUNTIMES = [
  'nodejs8',
  'nodejs10',
  'nodejs12',
  'nodejs14',
  'nodejs16',
  'nodejs18',
  'nodejs20',
  'nodejs22',
  'nodejs24',
  'nodejs26',
  'python3',
  'python3.9',
  'python3.10',
  'python3.11',
  'python3.12',
  'python3.13',
  'java8',
  'java11',
  'java17',
  'java21',
  'java25',
  'custom',
  'custom.debian10',
  'custom.debian11',
  'custom.debian12',
  'custom-container',
  'hot',
] as const;

export type Runtime = (typeof RUNTIMES)[number];

export function isRuntime(name: string): name is Runtime {
  return RUNTIMES.some((runtime) => runtime === name);
}
