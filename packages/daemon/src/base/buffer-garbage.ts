import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Young garbage is collected whenever so many bytes of buffers have been used. V8 goes by the size of its objects, of
 * which a buffer has little, and at 64 MiB of buffers goes through the whole heap: with bodies of 1 MiB that took two
 * thirds of all processor time of the gateway, and held up every request by milliseconds.
 */
const COLLECT_AFTER_BYTES = 16 * 1024 * 1024;

let collectYoung: (() => void) | undefined;
let usedBytes = 0;

/** Switches it on or off for this process. False where it was to be on and this engine does not let itself be asked. */
export function collectBufferGarbage(isOn: boolean): boolean {
  collectYoung = undefined;
  if (!isOn) return true;
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('globalThis.gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect !== 'function') return false;
  collectYoung = () => {
    Reflect.apply(collect, undefined, [{ type: 'minor' }]);
  };
  return true;
}

/** To be told of every buffer that a piece of a body came in. */
export function usedBuffer(bytes: number): void {
  usedBytes += bytes;
  if (usedBytes < COLLECT_AFTER_BYTES) return;
  usedBytes = 0;
  collectYoung?.();
}
