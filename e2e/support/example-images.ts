import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { ROOT, temporaryDirectory } from '@thaw/testkit/platform.ts';
import { missingProgram } from '../fixtures/requirements.ts';

const run = promisify(execFile);
/** Packages come over the network, to machines with much else to do: twenty seconds of a quiet one. */
const BUILD_MS_MAX = 480_000;
const BUILDERS = ['mmdebstrap', 'umoci', 'skopeo', 'bwrap', 'curl'];
/** What apt, mmdebstrap, pip and curl say where there is no way to the packages. */
const NO_NETWORK =
  /Could(?: not|n't) (?:resolve|connect|fetch)|Temporary failure|Failed to (?:fetch|establish|connect)|No matching distribution|timed out|Connection (?:refused|reset|broken)|Network is unreachable|returned error: 5\d\d|Hash Sum mismatch/iu;

/** A directory that `build.sh` has filled. */
export const IMAGES = process.env['THAW_IMAGES'];

/** Where an example's image is, in the OCI layout; why it is not, where nobody has built it. */
export function builtImage(name: string): { readonly layout: string } | { readonly missing: string } {
  if (IMAGES === undefined)
    return { missing: 'THAW_IMAGES names no directory that examples/images/build.sh has filled' };
  const layout = join(IMAGES, name);
  return existsSync(join(layout, 'index.json')) ? { layout } : { missing: `${layout} has not been built` };
}

/** The same, built here and now, from less, where it was not. */
export async function buildImage(
  t: TestContext,
  name: string,
): Promise<{ readonly layout: string } | { readonly missing: string }> {
  const built = builtImage(name);
  if ('layout' in built) return built;
  if (process.getuid?.() !== 0) return { missing: 'only root can build images' };
  const missing = missingProgram(...BUILDERS);
  if (missing !== undefined) return { missing };
  const directory = await temporaryDirectory(t, 'thaw images ');
  const script = join(ROOT, 'examples/images/build.sh');
  try {
    await run('bash', [script, '--slim', directory, name], { timeout: BUILD_MS_MAX });
  } catch (error) {
    assert.ok(error instanceof Error);
    if (Reflect.get(error, 'killed') === true) return { missing: `not built in ${BUILD_MS_MAX} ms` };
    if (NO_NETWORK.test(error.message))
      return { missing: `packages cannot be had: ${error.message.slice(-300)}` };
    throw error;
  }
  return { layout: join(directory, name) };
}
