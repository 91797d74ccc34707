import type { CloudEvent } from '../../model/cloud-event.ts';
import { isObject } from './event-pattern.ts';
import { parseCloudEvents } from './parse-cloud-events.ts';

/** How a function answered: as a web server, with this head, or with bytes and nothing else. */
export type ReplyHead =
  | { readonly status: number; readonly headers: Readonly<Record<string, string>> }
  | undefined;

const STRUCTURED = 'application/cloudevents';
const BATCH_TYPE = 'application/cloudevents-batch+json';
const EVENT_TYPE = 'application/cloudevents+json';

/** As an asynchronous task keeps it. */
export function replyHeadOf(resultHead: string | undefined): ReplyHead {
  const head: unknown = resultHead === undefined ? undefined : JSON.parse(resultHead);
  if (!isObject(head)) return undefined;
  const { status, rawHeaders } = head;
  const headers: Record<string, string> = {};
  const flat: readonly unknown[] = Array.isArray(rawHeaders) ? rawHeaders : [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    headers[String(flat[index]).toLowerCase()] = String(flat[index + 1]);
  }
  return { status: Number(status), headers };
}

/** Whether the body has to be looked at: an answer of a web server says what it is by its headers. */
export function mayBeEvents(head: ReplyHead): boolean {
  if (head === undefined) return true;
  const { status, headers } = head;
  const isMarked =
    'ce-specversion' in headers ||
    (headers['content-type'] ?? '').trim().toLowerCase().startsWith(STRUCTURED);
  return status >= 200 && status < 300 && isMarked;
}

/**
 * The CloudEvents of an answer: of a web server in any mode of HTTP, of an event handler in JSON, one or a list. None
 * where it is something else. Throws INVALID_ARGUMENT or INVALID_JSON for what wants to be one and is not.
 */
export async function replyEvents(head: ReplyHead, body: Buffer): Promise<readonly CloudEvent[]> {
  if (!mayBeEvents(head)) return [];
  if (head !== undefined) return parseCloudEvents(head.headers, body);
  const value = jsonOf(body);
  if (Array.isArray(value)) {
    return value.length > 0 && value.every(claimsToBeEvent)
      ? parseCloudEvents({ 'content-type': BATCH_TYPE }, body)
      : [];
  }
  return claimsToBeEvent(value) ? parseCloudEvents({ 'content-type': EVENT_TYPE }, body) : [];
}

function claimsToBeEvent(value: unknown): boolean {
  return isObject(value) && typeof value['specversion'] === 'string';
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}
