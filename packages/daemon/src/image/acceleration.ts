import type { CustomContainerConfig } from '../model/function.ts';

/** `lazy`: read as needed, with what its trace names ahead. `eager`: all of it ahead. `none`: pulled whole. */
export type Acceleration = 'lazy' | 'eager' | 'none';

/** What a function asks for: FC's `Default` and `None`, and `Eager` of ours. */
export function accelerationOf({
  accelerationType,
}: Pick<CustomContainerConfig, 'accelerationType'>): Acceleration {
  if (accelerationType === 'None') return 'none';
  return accelerationType === 'Eager' ? 'eager' : 'lazy';
}
