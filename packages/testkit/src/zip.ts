import { buffer } from 'node:stream/consumers';
import { ZipFile } from 'yazl';

/** A zip with these files: text or bytes by path, in the order given. */
export async function zip(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const archive = new ZipFile();
  for (const [path, content] of Object.entries(files)) {
    archive.addBuffer(Buffer.from(content), path, { mtime: new Date(0), mode: 0o100644 });
  }
  archive.end();
  return buffer(archive.outputStream);
}
