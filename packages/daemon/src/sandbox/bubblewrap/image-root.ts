import { chmodSync, chownSync, copyFileSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { imageIds } from '../../image/image-ids.ts';
import type { SandboxRoot, SandboxSpec } from '../sandbox.ts';

/** Where the host's start tools are seen inside. */
export const TOOLS_INSIDE = '/run/thaw/tools';
/** What a sandbox mounts over, and so has to be real directories whatever the image has there. */
const TEMPLATE_DIRECTORIES = ['proc', 'dev', 'sys', 'tmp', 'etc', 'run', 'run/thaw', 'run/thaw/tools'];

/**
 * Makes the root, in a mount namespace of the sandbox's own that ends with it: a tmpfs of bounded size for what is
 * written, and an overlay of it over the template over the image. Names in the stage are links and short, since the
 * options of a mount leave no room for strange characters.
 */
const SCRIPT = `set -e
cd "$1"
mount -t tmpfs -o "size=$2,mode=0755" thaw space
mkdir space/upper space/work space/root
if [ -n "$5" ]; then mkdir -p "space/upper$5"; chown "$6" "space/upper$5"; fi
if [ -n "$3" ]; then chown "$3" space/upper; fi
mount -t overlay -o "nosuid,nodev,lowerdir=template:lower,upperdir=space/upper,workdir=space/work$4" thaw space/root
cd /
shift 6
exec "$@"`;

export interface StagedRoot {
  /** What makes the root and then runs the rest, given behind it. */
  readonly before: readonly string[];
  /** Directory of the host, to be seen by what runs behind `before` alone. */
  readonly path: string;
  release(): void;
}

/** Roots of sandboxes that run from images. */
export class ImageRoots {
  readonly #directory: string;
  readonly #unshare: string;
  readonly #template: string;

  /** `etc` has files that every sandbox needs to be right for its network. */
  constructor(directory: string, unshare: string, etc: string) {
    this.#directory = directory;
    this.#unshare = unshare;
    this.#template = join(directory, 'template');
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(this.#template, { recursive: true, mode: 0o755 });
    const own = (path: string): void => {
      const ids = imageIds();
      if (ids !== undefined) chownSync(path, ids.toHost(0), ids.toHost(0));
    };
    own(this.#template);
    for (const name of TEMPLATE_DIRECTORIES) {
      mkdirSync(join(this.#template, name), { mode: 0o755 });
      own(join(this.#template, name));
    }
    // A container runtime gives what it mounts there the mode of the place.
    chmodSync(join(this.#template, 'tmp'), 0o1777);
    for (const name of ['hosts', 'hostname', 'resolv.conf']) {
      copyFileSync(join(etc, name), join(this.#template, 'etc', name));
      own(join(this.#template, 'etc', name));
    }
  }

  stage({ id, memoryBytesMax }: Pick<SandboxSpec, 'id' | 'memoryBytesMax'>, root: SandboxRoot): StagedRoot {
    const stage = join(this.#directory, id);
    const ids = imageIds();
    mkdirSync(join(stage, 'space'), { recursive: true, mode: 0o755 });
    symlinkSync(root.lower, join(stage, 'lower'));
    symlinkSync(this.#template, join(stage, 'template'));
    const { uid, gid } = root.user;
    const owner = ids === undefined ? '' : `${ids.toHost(0)}:${ids.toHost(0)}`;
    const user = ids === undefined ? '0:0' : `${ids.toHost(uid)}:${ids.toHost(gid)}`;
    // An overlay in a user namespace keeps its marks in attributes that users may set.
    const options = ids === undefined ? ',userxattr' : '';
    const bytes = String(Math.min(root.writableBytesMax, memoryBytesMax));
    return {
      before: [
        ...[this.#unshare, '--mount', '--', '/bin/sh', '-c', SCRIPT, 'thaw'],
        ...[stage, bytes, owner, options, root.missingDirectory ?? '', user],
      ],
      path: join(stage, 'space/root'),
      release: () => rmSync(stage, { recursive: true, force: true }),
    };
  }
}
