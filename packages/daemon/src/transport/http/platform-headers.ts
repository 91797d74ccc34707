import type { RunnableVersion } from '../../model/runnable.ts';

/** What a server's requests say of its function. */
export type ServedFunction = Pick<
  RunnableVersion,
  | 'functionName'
  | 'handler'
  | 'memoryMb'
  | 'timeoutMs'
  | 'versionId'
  | 'environment'
  | 'initializer'
  | 'hooks'
  | 'logProject'
  | 'logStore'
>;

const CREDENTIAL_HEADERS = [
  ['x-fc-access-key-id', 'ALIBABA_CLOUD_ACCESS_KEY_ID'],
  ['x-fc-access-key-secret', 'ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
  ['x-fc-security-token', 'ALIBABA_CLOUD_SECURITY_TOKEN'],
] as const;

/** What FC tells a server of its function with every request (FC 3.0, "common headers of custom runtimes"). */
export function platformHeaders(runnable: ServedFunction): readonly string[] {
  const { initializer, hooks, environment } = runnable;
  const headers = [
    'x-fc-function-name',
    runnable.functionName,
    'x-fc-function-handler',
    runnable.handler,
    'x-fc-function-memory',
    String(runnable.memoryMb),
    'x-fc-function-timeout',
    String(runnable.timeoutMs / 1000),
    'x-fc-region',
    environment['FC_REGION'] ?? '',
    'x-fc-account-id',
    environment['FC_ACCOUNT_ID'] ?? '',
    'x-fc-version-id',
    runnable.versionId,
  ];
  for (const [header, variable] of CREDENTIAL_HEADERS) {
    const value = environment[variable];
    // A user's own value may be anything, and what is no header would end every request.
    if (value !== undefined && /^[\x21-\x7e]+$/.test(value)) headers.push(header, value);
  }
  if (initializer !== undefined) {
    headers.push('x-fc-function-initializer', initializer.handler);
    headers.push('x-fc-initialization-timeout', String(initializer.timeout));
  }
  if (hooks.preStop !== undefined)
    headers.push('x-fc-instance-lifecycle-pre-stop-handler', hooks.preStop.handler);
  if (hooks.preFreeze !== undefined)
    headers.push('x-fc-instance-lifecycle-pre-freeze-handler', hooks.preFreeze.handler);
  if (runnable.logProject !== '') headers.push('x-fc-service-logproject', runnable.logProject);
  if (runnable.logStore !== '') headers.push('x-fc-service-logstore', runnable.logStore);
  return headers;
}
