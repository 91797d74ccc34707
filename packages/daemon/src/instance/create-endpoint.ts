import type { RuntimeEvents } from '../transport/runtime-connection.ts';
import { HttpEndpoint } from './http-endpoint.ts';
import { LinkEndpoint } from './link-endpoint.ts';
import { PollEndpoint } from './poll-endpoint.ts';
import { StdioEndpoint } from './stdio-endpoint.ts';
import type { EndpointContext, RuntimeEndpoint } from './runtime-endpoint.ts';

/** The endpoint for a function's runtime. Throws RUNTIME_UNAVAILABLE. */
export function createEndpoint(context: EndpointContext, events: RuntimeEvents): RuntimeEndpoint {
  switch (context.runnable.family) {
    case 'nodejs':
    case 'python3':
    case 'java':
      return new LinkEndpoint(context, events);
    case 'custom':
      return context.runnable.server?.mayPoll === true
        ? new PollEndpoint(context, events)
        : new HttpEndpoint(context, events);
    case 'hot':
      return new StdioEndpoint(context, events);
  }
}
