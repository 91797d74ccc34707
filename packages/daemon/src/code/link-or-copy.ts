import { copyFile, link, lstat, open } from 'node:fs/promises';

/** File systems bound the links of one file, and some know none. */
export async function linkOrCopy(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    if (!isNoLink(error)) throw error;
    await copyFile(source, target);
    const file = await open(target, 'r');
    try {
      await file.chmod((await lstat(source)).mode & 0o777);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

function isNoLink(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    ['EMLINK', 'EXDEV', 'EPERM', 'ENOTSUP'].includes(String(error.code))
  );
}
