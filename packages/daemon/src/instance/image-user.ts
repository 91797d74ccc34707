import { ThawError } from '@thaw/protocol/thaw-error.ts';

export interface ImageUser {
  readonly uid: number;
  readonly gid: number;
  /** Besides `gid`. */
  readonly groups: readonly number[];
  readonly home: string;
}

const ID_MAX = 2 ** 24 - 1;
const GROUPS_MAX = 64;

/**
 * Whom an image's `user` means: `user`, `uid`, `user:group` or `uid:gid` with the names of the image's own files, root where
 * it is empty (OCI image specification, "Config.User"). `read` gives the text of a file of the image. Throws INVALID_IMAGE.
 */
export function findImageUser(text: string, read: (path: string) => string | undefined): ImageUser {
  const [userText = '', groupText] = text.split(':');
  const users = entriesOf(read('/etc/passwd'));
  const groups = entriesOf(read('/etc/group'));
  const wanted = userText === '' ? '0' : userText;
  const user = users.find(([name]) => name === wanted) ?? users.find(([, , uid]) => uid === wanted);
  const uid = idOf(user?.[2] ?? wanted, text, 'user');
  const home = user?.[5] === undefined || user[5] === '' ? '/' : user[5];
  if (groupText !== undefined && groupText !== '') {
    const group = groups.find(([name]) => name === groupText);
    return { uid, gid: idOf(group?.[2] ?? groupText, text, 'group'), groups: [], home };
  }
  const gid = user?.[3] === undefined ? 0 : idOf(user[3], text, 'group');
  const name = user?.[0];
  const memberOf = groups
    .filter(([, , , members]) => name !== undefined && members?.split(',').includes(name) === true)
    .flatMap(([, , id]) => (id !== undefined && /^\d{1,8}$/u.test(id) ? [Number(id)] : []))
    .filter((id) => id !== gid && id <= ID_MAX);
  return { uid, gid, groups: memberOf.slice(0, GROUPS_MAX), home };
}

function entriesOf(text: string | undefined): string[][] {
  return (text ?? '').split('\n').map((line) => line.trim().split(':'));
}

function idOf(text: string, whole: string, what: string): number {
  const id = Number(text);
  if (!/^\d+$/u.test(text) || id > ID_MAX)
    throw new ThawError(
      'INVALID_IMAGE',
      `the image runs as ${JSON.stringify(whole)}, a ${what} that it does not have`,
    );
  return id;
}
