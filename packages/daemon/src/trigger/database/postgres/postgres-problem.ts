import { ThawError } from '@thaw/protocol/thaw-error.ts';

/** What an operator has to do, by PostgreSQL's own code of the error (appendix A of its manual). */
const ADVICE: Readonly<Record<string, string>> = {
  '28P01': 'refuses the password',
  '28000': 'refuses the user: pg_hba.conf must let this user in, for replication too',
  '3D000': 'has no such database',
  '42501':
    'refuses: the user needs the attribute REPLICATION, CREATE on the database and to own the tables that it follows',
  '53300': 'takes no more connections: raise max_wal_senders or max_connections, or end connections',
  '53400': 'has no replication slot left: raise max_replication_slots, or drop slots that nobody needs',
};

/** The server is there and something in it must be changed by a person. */
const REFUSALS = new Set(Object.keys(ADVICE));
const SLOT_IN_USE = '55006';
const UNDEFINED_OBJECT = '42704';
const WRONG_STATE = '55000';

/** What went wrong with the database, in words that say what to do. Never holds the password. */
export function postgresProblem(thrown: unknown, place: string): ThawError {
  if (thrown instanceof ThawError) return thrown;
  const code = codeOf(thrown);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const details = { database: place, ...(code === '' ? {} : { sqlState: code }) };
  const options = { cause: thrown, details };
  if (isLostSlot(code, message)) return slotLost(place, message);
  if (REFUSALS.has(code)) {
    return new ThawError('SOURCE_REFUSED', `database ${place} ${ADVICE[code]}`, options);
  }
  if (code === SLOT_IN_USE) {
    return new ThawError(
      'SOURCE_UNREACHABLE',
      `database ${place} still holds the trigger's last connection`,
      options,
    );
  }
  return new ThawError('SOURCE_UNREACHABLE', `database ${place} cannot be followed now`, options);
}

export function slotLost(place: string, why: string): ThawError {
  return new ThawError(
    'CHANGES_LOST',
    `database ${place} no longer keeps the changes that this trigger has not seen (${why}): delete the trigger and ` +
      'create it again to go on from now; max_slot_wal_keep_size bounds what a server keeps',
    { details: { database: place } },
  );
}

function isLostSlot(code: string, message: string): boolean {
  if (code === UNDEFINED_OBJECT) return message.includes('replication slot');
  return code === WRONG_STATE && /can no longer (?:get|access)|invalidated|conflicting/iu.test(message);
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
}
