/**
 * Publication and replication slot of a trigger, by its id: lower-case letters, digits and `_`, which is all that a slot's
 * name may have.
 */
export function postgresName(triggerId: string): string {
  return `thaw_${triggerId.toLowerCase().replaceAll(/[^a-z0-9]/gu, '')}`;
}
