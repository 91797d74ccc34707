import type { RuntimeEvents } from '../transport/runtime-connection.ts';
import { AccessEndpoint, accessPort } from './access-endpoint.ts';
import { HttpEndpoint } from './http-endpoint.ts';
import { LinkEndpoint } from './link-endpoint.ts';
import { PollEndpoint } from './poll-endpoint.ts';
import { StdioEndpoint } from './stdio-endpoint.ts';
import type { EndpointContext, RuntimeEndpoint } from './runtime-endpoint.ts';

/** The endpoint for a function's runtime, with a way to what the function was granted. Throws RUNTIME_UNAVAILABLE. */
export function createEndpoint(context: EndpointContext, events: RuntimeEvents): RuntimeEndpoint {
  const endpoint = endpointOf(context, events);
  const { access, driver, runnable } = context;
  // Without a network of its own it uses the platform's address; who polls has a port already.
  if (access === undefined || driver === 'process' || endpoint instanceof PollEndpoint) return endpoint;
  return new AccessEndpoint(endpoint, access, accessPort(runnable));
}

function endpointOf(context: EndpointContext, events: RuntimeEvents): RuntimeEndpoint {
  switch (context.runnable.family) {
    case 'nodejs':
    case 'python3':
    case 'java':
      return new LinkEndpoint(context, events);
    case 'custom':
    case 'action':
      return context.runnable.server?.mayPoll === true
        ? new PollEndpoint(context, events)
        : new HttpEndpoint(context, events);
    case 'hot':
      return new StdioEndpoint(context, events);
  }
}
