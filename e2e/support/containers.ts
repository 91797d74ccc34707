import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { writeOciLayout, type SampleImage, type WrittenImage } from '@thaw/testkit/oci-layout.ts';
import { temporaryDirectory, type Platform } from '@thaw/testkit/platform.ts';
import { waitFor } from '@thaw/testkit/wait-for.ts';
import { API, createHttpTrigger } from './functions.ts';
import { jsonOf, send, type Answer } from './http-call.ts';
import { signedCall } from './signed-call.ts';

export interface ContainerFunction {
  readonly state: string;
  readonly stateReason?: string;
  readonly stateReasonCode?: string;
  readonly customContainerConfig: {
    readonly image: string;
    readonly resolvedImageUri: string;
    readonly registryConfig?: { readonly authConfig?: Readonly<Record<string, string>> };
    readonly accelerationInfo: { readonly status: string };
  };
}

/** Writes an image into a layout of its own and gives its name. */
export async function layoutWith(
  t: TestContext,
  image: SampleImage,
): Promise<{ readonly name: string; readonly directory: string; readonly written: WrittenImage }> {
  const directory = join(await temporaryDirectory(t, 'thaw layout '), 'image');
  const written = await writeOciLayout(directory, image);
  return { name: `oci:${directory}:${image.tag ?? 'latest'}`, directory, written };
}

/** Creates a function in an image; the answer is the API's. */
export function createContainer(
  platform: Platform,
  functionName: string,
  config: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<Answer> {
  return signedCall(platform, {
    method: 'POST',
    path: `${API}/functions`,
    body: JSON.stringify({
      functionName,
      runtime: 'custom-container',
      handler: 'index.handler',
      timeout: 30,
      memorySize: 128,
      customContainerConfig: config,
      ...fields,
    }),
  });
}

/** Creates a function in an image that serves on its port, waits for it and gives a way to call it. */
export async function deployContainer(
  platform: Platform,
  functionName: string,
  config: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<(path: string, body?: string) => Promise<Answer>> {
  const answer = await createContainer(platform, functionName, config, fields);
  assert.equal(answer.status, 200, answer.body.toString());
  await untilActive(platform, functionName);
  const url = new URL(await createHttpTrigger(platform, functionName));
  const base = url.pathname.slice(0, -1);
  return (path, body) =>
    send(platform.url, {
      path: base + path,
      headers: { host: platform.endpoint },
      ...(body === undefined ? {} : { method: 'POST', body }),
    });
}

export async function getFunction(platform: Platform, functionName: string): Promise<ContainerFunction> {
  return jsonOf<ContainerFunction>(
    await signedCall(platform, { method: 'GET', path: `${API}/functions/${functionName}` }),
  );
}

export async function untilActive(platform: Platform, functionName: string): Promise<ContainerFunction> {
  return await waitFor(
    `function ${functionName} to have its image`,
    async () => {
      const found = await getFunction(platform, functionName);
      assert.notEqual(found.state, 'Failed', found.stateReason ?? 'no reason');
      return found.state === 'Active' ? found : undefined;
    },
    60_000,
  );
}
