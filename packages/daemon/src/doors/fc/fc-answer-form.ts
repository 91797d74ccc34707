import type { ThawError } from '@thaw/protocol/thaw-error.ts';
import { errorTypeHeader, functionErrorBody } from '../../gateway/function-error.ts';
import type { AnswerForm } from '../../gateway/invocation-response.ts';
import type { Invocation } from '../../invocation/invocation.ts';
import type { ResponseHead } from '../../transport/transport.ts';
import { fcErrorResponse } from './fc-error.ts';

/** FC's headers around the function's bytes (FC 3.0, InvokeFunction). */
export const fcAnswerForm: AnswerForm = {
  /** The function was invoked, whatever its HTTP handler thinks of the request: clients take all else for FC's own errors. */
  status: () => 200,

  headers(head: ResponseHead, invocation: Invocation): string[] {
    const headers = invocationHeaders(invocation);
    // An HTTP handler may say what its bytes are; an event handler's are just bytes.
    if (head.rawHeaders.length === 0) headers.push('Content-Type', 'application/octet-stream');
    if (head.status !== 200) headers.push('x-fc-http-status', String(head.status));
    return headers;
  },

  failure(error: ThawError, invocation: Invocation): { status: number; headers: string[]; body: Buffer } {
    if (error.fault !== 'function') {
      const { status, headers, body } = fcErrorResponse(error, invocation.request.requestId);
      return { status, headers: Object.entries(headers).flat(), body: Buffer.from(String(body)) };
    }
    const headers = invocationHeaders(invocation);
    headers.push('Content-Type', 'application/json', 'x-fc-error-type', errorTypeHeader(error));
    return { status: 200, headers, body: functionErrorBody(error) };
  },
};

function invocationHeaders(invocation: Invocation): string[] {
  const { requestId, runnable } = invocation.request;
  const headers = [
    'x-fc-request-id',
    requestId,
    'x-fc-instance-id',
    invocation.instanceId,
    'x-fc-code-checksum',
    runnable.codeChecksum,
    'x-fc-invocation-service-version',
    runnable.versionId,
    'x-fc-invocation-duration',
    String(Math.ceil(invocation.timeline.handler ?? 0)),
  ];
  const memoryBytes = invocation.memoryBytesPeak;
  if (memoryBytes !== undefined)
    headers.push('x-fc-max-memory-usage', (memoryBytes / 1024 / 1024).toFixed(2));
  const logTail = invocation.encodeLogTail();
  if (logTail !== undefined) headers.push('x-fc-log-result', logTail);
  return headers;
}
