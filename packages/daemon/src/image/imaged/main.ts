/**
 * The process `imaged`. It lives as long as its channel to the daemon: when the daemon is gone, whatever it died of, all
 * mounts go. When this process dies, the daemon starts another with the same FUSE descriptor (number 4), which goes on.
 */
import { flushCompileCache } from 'node:module';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { collectBufferGarbage } from '../../base/buffer-garbage.ts';
import { Imaged } from './imaged.ts';
import type { ImagedCall, ImagedEvent, ImagedRequest } from './messages.ts';

const FUSE_DESCRIPTOR = 4;
/** What cannot be closed in this time is left to the kernel. */
const CLOSE_MS_MAX = 10_000;
let imaged: Imaged | undefined;
let isClosing = false;

function send(event: ImagedEvent): void {
  if (process.connected) process.send?.(event, () => undefined);
}

function log(level: 'info' | 'warning' | 'error', text: string, cause?: unknown): void {
  let causes = '';
  for (let at = cause, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1)
    causes += `: ${at.message}`;
  send({ type: 'log', level, text: `${text}${causes}` });
}

function onDropped(node: number): void {
  send({ type: 'dropped', node });
}

async function answer({ id, call }: ImagedRequest): Promise<void> {
  try {
    send({ type: 'result', id, result: await run(call) });
  } catch (thrown) {
    const { code, message } = ThawError.from(thrown, `imaged: ${String(thrown)}`);
    send({ type: 'failure', id, code, message });
  }
}

async function run(call: ImagedCall): Promise<unknown> {
  if (call.type === 'open') {
    if (!collectBufferGarbage(call.options.collectsBuffers ?? true))
      log(
        'info',
        'buffers of images go with the whole heap only: this engine does not collect young ones alone',
      );
    imaged = new Imaged({ options: call.options, descriptor: FUSE_DESCRIPTOR, log, onDropped });
    const opened = await imaged.open(call.takeOver);
    // The next one starts sooner, however this one ends.
    flushCompileCache();
    return opened;
  }
  if (call.type === 'ping') return undefined;
  if (imaged === undefined) throw new ThawError('STORE_FAILED', 'imaged is not open');
  switch (call.type) {
    case 'mount':
      return await imaged.mount(call.mounted);
    case 'unmount':
      return await imaged.unmount(call.node);
    case 'convert':
      return await imaged.convert(call.source);
    case 'isQuick':
      return await imaged.isQuick(call.source);
    case 'prefetch':
      return imaged.prefetch(call.node, call.chunks, call.pack);
    case 'prefetchAll':
      return imaged.prefetch(call.node, undefined, undefined);
    case 'pack':
      return await imaged.pack(call.node, call.as);
    case 'measure':
      return imaged.measure(call.node);
    case 'touches':
      return imaged.touches(call.node);
    case 'usage':
      return imaged.usage();
    case 'clearCache':
      return await imaged.clearCache();
    case 'setNodes':
      return imaged.setNodes(call.nodes);
    case 'close':
      return await end();
  }
}

async function end(): Promise<void> {
  if (isClosing) return;
  isClosing = true;
  // Threads that wait in the kernel cannot be stopped from here; the process can.
  const timer = setTimeout(() => process.kill(process.pid, 'SIGKILL'), CLOSE_MS_MAX);
  await imaged?.close().catch((error: unknown) => log('error', 'imaged could not be closed', error));
  clearTimeout(timer);
  process.exit(0);
}

process.on('message', (request: ImagedRequest) => void answer(request));
process.on('disconnect', () => void end());
// A terminal sends these to the daemon's whole process group; the daemon decides when imaged ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('SIGHUP', () => undefined);
