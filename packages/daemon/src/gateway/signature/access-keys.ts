/** Who may call. Asked for every signed request, so an implementation answers from memory. */
export interface AccessKeys {
  /** The secret that belongs to an access key id, or undefined when there is no such key. */
  secretOf(accessKeyId: string): string | undefined;
}

/** The one key pair of a platform with one owner. */
export function singleAccessKey(accessKeyId: string, accessKeySecret: string): AccessKeys {
  return { secretOf: (id) => (id === accessKeyId ? accessKeySecret : undefined) };
}
