/**
 * The process of a shaped link: takes connections, hands them to the target, and lets bytes pass as a link of the given
 * shape would. What is asked takes a whole round trip on its way, answers none, so that their sum is right; so does the
 * making of a connection. Answers share one line, and each connection begins slowly.
 */
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { setPriority } from 'node:os';
import { Line, Window, type LinkShape } from './link-shape.ts';
import { TimedQueue } from './timed-queue.ts';

export interface LinkSettings extends LinkShape {
  readonly targetPort: number;
}

export type LinkMessage =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'counted'; readonly bytes: number; readonly connections: number };

/** Of one connection, read from the target and not sent yet. */
const HELD_BYTES_MAX = 1024 * 1024;
/** Before everybody else: a late wire would be measured as a slow platform. */
const PRIORITY = -10;

const shape: LinkSettings = JSON.parse(process.argv[2] ?? '{}');
const line = new Line(shape);
let bytesDown = 0;
let connections = 0;

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  connections += 1;
  carry(near);
});
server.listen(0, '127.0.0.1', () => {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  tell({ type: 'listening', port: (server.address() as AddressInfo).port });
});
process.on('message', () => tell({ type: 'counted', bytes: bytesDown, connections }));
process.on('disconnect', () => process.exit(0));
try {
  setPriority(PRIORITY);
} catch {
  // Only root may; then it waits for its turn like the others.
}

function carry(near: Socket): void {
  const far = connect({ host: '127.0.0.1', port: shape.targetPort, allowHalfOpen: true, noDelay: true });
  const window = new Window(shape);
  const asked = new TimedQueue();
  const answered = new TimedQueue();
  let openMs = performance.now() + shape.roundTripMs;
  let held = 0;
  const end = (): void => {
    near.destroy();
    far.destroy();
  };
  for (const side of [near, far]) side.on('error', end);
  near.on('close', end);
  near.on('data', (part: Buffer) => {
    openMs = Math.max(openMs, performance.now());
    asked.put(openMs + shape.roundTripMs, () => far.write(part));
  });
  near.on('end', () => asked.put(openMs + shape.roundTripMs, () => far.end()));
  let lastMs = 0;
  far.on('data', (part: Buffer) => {
    lastMs = line.send(part.length, window.admit(part.length, performance.now()));
    held += part.length;
    if (held > HELD_BYTES_MAX) far.pause();
    answered.put(lastMs, () => {
      bytesDown += part.length;
      near.write(part, () => {
        held -= part.length;
        if (held <= HELD_BYTES_MAX / 2) far.resume();
      });
    });
  });
  far.on('end', () => answered.put(lastMs, () => near.end()));
}

function tell(message: LinkMessage): void {
  process.send?.(message);
}
