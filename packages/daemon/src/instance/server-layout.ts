import { join } from 'node:path';
import type { ServerConfig } from '../model/runnable.ts';
import type { SandboxSpec } from '../sandbox/sandbox.ts';
import { programSpec } from './program-layout.ts';
import type { EndpointContext } from './runtime-endpoint.ts';

/** What to start for a web server of the user's own. */
export function serverSpec(context: EndpointContext, { command, port }: ServerConfig): SandboxSpec {
  const program = programSpec(context, command);
  return {
    ...program,
    environment: {
      PORT: String(port),
      ...program.environment,
      FC_SERVER_PORT: String(port),
      FC_CUSTOM_LISTEN_PORT: String(port),
    },
    server: { port, relaySocket: join(context.files.directory, 'server') },
  };
}
