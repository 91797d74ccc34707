import { connect } from 'node:net';
import type { ServerAddress } from '../sandbox/sandbox.ts';

const CONNECT_MS_MAX = 1000;
/** A server that starts fast is found fast; one that takes its time is asked less often. */
const POLL_MS_MIN = 2;
const POLL_MS_MAX = 20;
const POLL_GROWTH = 1.2;

/** Calls back once, when something accepts connections there. The function that it returns ends the wait. */
export function untilListening(address: ServerAddress, onListening: () => void): () => void {
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  const ask = (pollMs: number): void => {
    void isListening(address).then((accepts) => {
      if (isOver) return;
      if (accepts) {
        isOver = true;
        onListening();
      } else {
        timer = setTimeout(() => ask(Math.min(pollMs * POLL_GROWTH, POLL_MS_MAX)), pollMs);
      }
    });
  };
  ask(POLL_MS_MIN);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

/** Whether something accepts connections there. */
export function isListening(address: ServerAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...address });
    const end = (accepts: boolean): void => {
      socket.destroy();
      resolve(accepts);
    };
    socket.setTimeout(CONNECT_MS_MAX, () => end(false));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
