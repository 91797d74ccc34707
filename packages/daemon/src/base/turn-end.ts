/** Something that waits until all that came in this turn of the loop has been read. */
export interface TurnEndListener {
  onTurnEnd(): void;
}

let waiting: TurnEndListener[] = [];

/**
 * Calls it once, when the turn has read all that had come: what arrived in pieces can then go on as one. One wake-up of
 * the loop serves all who wait, so this costs a request no more than a place in a list.
 */
export function atTurnEnd(listener: TurnEndListener): void {
  waiting.push(listener);
  if (waiting.length === 1) setImmediate(tellAll);
}

function tellAll(): void {
  const listeners = waiting;
  waiting = [];
  for (const listener of listeners) listener.onTurnEnd();
}
