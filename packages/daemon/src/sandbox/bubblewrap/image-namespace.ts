import { spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { IMAGE_IDS, IMAGE_IDS_FIRST } from '../../image/image-ids.ts';

const MAKE_MS_MAX = 10_000;

/**
 * The user namespace in which programs of images run where the platform is root: ids from 0 up are host ids that own
 * nothing but images' files. A process makes it and ends; the namespace lives with the descriptor.
 */
export class ImageNamespace {
  /** Lives as long as the launcher. */
  readonly descriptor: number;

  private constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  static async open(unshare: string): Promise<ImageNamespace> {
    const child = spawn(unshare, ['--user', '--', '/bin/sh', '-c', 'echo made; read -r _'], {
      env: {},
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: MAKE_MS_MAX,
      killSignal: 'SIGKILL',
    });
    const ended = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
    });
    try {
      await new Promise<void>((resolve, reject) => {
        child.stdout.once('data', () => resolve());
        child.once('error', reject);
        child.once('exit', (code) => reject(new Error(`unshare --user ended with ${code}`)));
      });
      const map = `0 ${IMAGE_IDS_FIRST} ${IMAGE_IDS}`;
      writeFileSync(`/proc/${child.pid}/uid_map`, map);
      writeFileSync(`/proc/${child.pid}/gid_map`, map);
      return new ImageNamespace(openSync(`/proc/${child.pid}/ns/user`, 'r'));
    } finally {
      child.kill('SIGKILL');
      await ended;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }
}
