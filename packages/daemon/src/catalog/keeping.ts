import { readSessionAffinity } from '@thaw/protocol/fc/session-affinity.ts';
import type { FunctionConfig } from '../model/function.ts';
import type { SessionAffinity } from '../model/session-affinity.ts';

/** The cookie that FC's own affinity sets. */
const SESSION_COOKIE = 'x-fc-session-id';

/** Throws INVALID_ARGUMENT for what a client got wrong, which happens before it is stored. */
export function sessionAffinityOf({ passthrough }: FunctionConfig): SessionAffinity | undefined {
  const read = readSessionAffinity(
    textIn(passthrough, 'sessionAffinity'),
    textIn(passthrough, 'sessionAffinityConfig'),
  );
  if (read === undefined) return undefined;
  const { headerName, rules } = read;
  return {
    kind: headerName === undefined ? 'cookie' : 'header',
    name: (headerName ?? SESSION_COOKIE).toLowerCase(),
    sessionsPerInstance: rules.sessionConcurrencyPerInstance,
    ttlMs: rules.sessionTTLInSeconds * 1000,
    idleMs: rules.sessionIdleTimeoutInSeconds * 1000,
  };
}

/** Undefined where the function leaves it to the platform. */
export function idleMsMaxOf({ passthrough }: FunctionConfig): number | undefined {
  const seconds = passthrough['idleTimeout'];
  return typeof seconds === 'number' ? seconds * 1000 : undefined;
}

function textIn(fields: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' ? value : undefined;
}
