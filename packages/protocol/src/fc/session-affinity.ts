import { z } from 'zod';
import { ThawError } from '../thaw-error.ts';
import { allowed, flag, wholeNumber } from './fields.ts';
import { parseFc } from './parse.ts';

const SESSIONS_PER_INSTANCE_MAX = 200;
const SESSIONS_PER_INSTANCE_DEFAULT = 20;
const SESSION_S_MAX = 21_600;
const SESSION_IDLE_S_DEFAULT = 1_800;

const nameRule =
  'must be 5 to 40 letters, digits, "-" or "_", begin with a letter and not with "x-fc-": the header that names the session';

const sessionRules = z.object(
  {
    sessionConcurrencyPerInstance: wholeNumber(1, SESSIONS_PER_INSTANCE_MAX, 'sessions').default(
      SESSIONS_PER_INSTANCE_DEFAULT,
    ),
    sessionTTLInSeconds: wholeNumber(1, SESSION_S_MAX, 'seconds').default(SESSION_S_MAX),
    sessionIdleTimeoutInSeconds: wholeNumber(0, SESSION_S_MAX, 'seconds').default(SESSION_IDLE_S_DEFAULT),
    disableSessionIdReuse: flag().optional(),
  },
  { error: allowed('a JSON object') },
);

const headerRules = sessionRules.extend({
  affinityHeaderFieldName: z
    .string({ error: nameRule })
    .regex(/^(?!x-fc-)[a-z][a-z0-9_-]{4,39}$/i, { error: nameRule }),
});

export type SessionRules = z.infer<typeof sessionRules>;

export interface SessionAffinityInput {
  /** Undefined for the cookie that the platform makes. */
  readonly headerName: string | undefined;
  readonly rules: SessionRules;
}

/**
 * Reads the fields `sessionAffinity` and `sessionAffinityConfig`, a JSON text, of a function. Undefined means that
 * requests go wherever a slot is free. Throws INVALID_ARGUMENT.
 */
export function readSessionAffinity(
  kind: string | undefined,
  configText: string | undefined,
): SessionAffinityInput | undefined {
  if (kind === undefined || kind === '' || kind === 'NONE') return undefined;
  const config = parseText(configText);
  if (kind === 'GENERATED_COOKIE') {
    return { headerName: undefined, rules: within(() => parseFc(sessionRules, config)) };
  }
  if (kind === 'HEADER_FIELD') {
    const rules = within(() => parseFc(headerRules, config));
    return { headerName: rules.affinityHeaderFieldName, rules };
  }
  throw new ThawError(
    'INVALID_ARGUMENT',
    `sessionAffinity must be NONE, HEADER_FIELD or GENERATED_COOKIE; '${kind}' is not supported by this version`,
    { details: { field: 'sessionAffinity' } },
  );
}

function parseText(text: string | undefined): unknown {
  if (text === undefined || text === '') return {};
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', 'sessionAffinityConfig must be an object written as JSON', {
      cause,
      details: { field: 'sessionAffinityConfig' },
    });
  }
}

/** Names the field as it is called from outside. */
function within<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ThawError) || error.code !== 'INVALID_ARGUMENT') throw error;
    throw new ThawError('INVALID_ARGUMENT', `sessionAffinityConfig.${error.message}`, {
      details: { field: 'sessionAffinityConfig' },
    });
  }
}
