import { ERROR_TRAITS, type ErrorCode } from '@thaw/protocol/error-code.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { apiPath, type Client } from '../api/client.ts';
import type { FunctionAnswer } from '../api/wire.ts';
import type { Resource } from '../s-yaml/resource.ts';
import type { Change } from './config-diff.ts';

const POLL_MS = 500;
/** The image of a function that is deployed may be large and its registry far. */
const IMAGE_MS_MAX = 30 * 60_000;

/** Whether the resource runs from an image and so has no code of its own. */
export function isContainer({ props }: Resource): boolean {
  return props.runtime === 'custom-container';
}

/**
 * Sends a function in an image even where nothing of its file has changed: the platform asks the registry what the image's
 * name means now. Gives the changes, of which that is one.
 */
export async function updateContainer(
  client: Client,
  { props }: Resource,
  config: Readonly<Record<string, unknown>>,
  changes: readonly Change[],
  actual: FunctionAnswer,
): Promise<Change[]> {
  const updated = await client.json<FunctionAnswer>({
    method: 'PUT',
    path: apiPath('functions', props.functionName),
    json: config,
  });
  const [from, to] = [resolvedImage(actual), resolvedImage(updated)];
  // A password does not come back, so that it would look like a change for ever.
  const real = changes.filter(
    ({ field }) => field !== 'customContainerConfig' || hasNewSettings(changes, actual),
  );
  return from === to ? real : [...real, { field: 'image', from, to }];
}

/** Waits until the image is on the platform's machine; throws why it cannot be. */
export async function untilImageIsHere(
  client: Client,
  functionName: string,
  signal: AbortSignal,
): Promise<void> {
  const untilMs = performance.now() + IMAGE_MS_MAX;
  for (;;) {
    const { state, ...found } = await client.json<FunctionAnswer>({
      method: 'GET',
      path: apiPath('functions', functionName),
    });
    if (state === 'Failed') {
      const code = String(found['stateReasonCode']);
      throw new ThawError(
        isErrorCode(code) ? code : 'INTERNAL',
        `function '${functionName}': ${String(found['stateReason'])}`,
      );
    }
    if (state !== 'Pending' || signal.aborted || performance.now() > untilMs) return;
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

function resolvedImage(answer: FunctionAnswer): unknown {
  const config: unknown = answer['customContainerConfig'];
  return typeof config === 'object' && config !== null ? Reflect.get(config, 'resolvedImageUri') : undefined;
}

function hasNewSettings(changes: readonly Change[], actual: FunctionAnswer): boolean {
  const wanted = changes.find(({ field }) => field === 'customContainerConfig')?.to;
  return (
    JSON.stringify(withoutPassword(wanted)) !==
    JSON.stringify(withoutPassword(pick(actual['customContainerConfig'], wanted)))
  );
}

/** Of `from`, what `like` has too, in its order. */
function pick(from: unknown, like: unknown): unknown {
  if (
    typeof from !== 'object' ||
    from === null ||
    typeof like !== 'object' ||
    like === null ||
    Array.isArray(like)
  )
    return from;
  return Object.fromEntries(
    Object.entries(like).map(([key, value]) => [key, pick(Reflect.get(from, key), value)]),
  );
}

function withoutPassword(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'password')
      .map(([key, each]) => [key, withoutPassword(each)]),
  );
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_TRAITS, text);
}
