import type { SandboxSpec } from '../sandbox/sandbox.ts';
import type { EndpointContext } from './runtime-endpoint.ts';

/**
 * What programs that poll expect in their environment: AWS Lambda's variables (the developer guide, "defined runtime
 * environment variables") and FC's address of the same. A user's own win, but for the address.
 */
export function runtimeApiVariables(
  { runnable, instanceId }: EndpointContext,
  { environment, workingDirectory }: SandboxSpec,
  address: string,
): Record<string, string> {
  const { functionName, versionId, handler, memoryMb, instanceConcurrency } = runnable;
  const region = environment['FC_REGION'] ?? '';
  return {
    _HANDLER: handler,
    LAMBDA_TASK_ROOT: workingDirectory,
    LAMBDA_RUNTIME_DIR: workingDirectory,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_EXECUTION_ENV: 'AWS_Lambda_provided',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_FUNCTION_NAME: functionName,
    AWS_LAMBDA_FUNCTION_VERSION: versionId === 'LATEST' ? '$LATEST' : versionId,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMb),
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${functionName}`,
    AWS_LAMBDA_LOG_STREAM_NAME: instanceId,
    ...(instanceConcurrency > 1 ? { AWS_LAMBDA_MAX_CONCURRENCY: String(instanceConcurrency) } : {}),
    ...environment,
    AWS_LAMBDA_RUNTIME_API: address,
    FC_RUNTIME_API: address,
  };
}
