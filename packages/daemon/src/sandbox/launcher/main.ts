/**
 * The launcher process: a small child of the daemon that forks every sandbox, because a fork costs time in proportion
 * to the memory of the process that forks. It lives exactly as long as the daemon holds its standard input open.
 */
import type { Server } from 'node:net';
import { closeInheritedDescriptors } from './inherited-descriptors.ts';
import { Launcher } from './launcher.ts';
import type { LauncherEvent, LauncherOptions, LauncherRequest } from './messages.ts';

closeInheritedDescriptors();

let launcher: Launcher | undefined;
/** Settles when it is open, or never will be. */
let opening: Promise<void> = Promise.resolve();
let ending: Promise<void> | undefined;
/** Settles each socket that is on its way to the daemon. */
const underWay = new Set<() => void>();
/** Taking everything away takes a moment; a launcher that nobody can reach must not stay for ever. */
const END_MS_MAX = 10_000;

function send(event: LauncherEvent): void {
  if (process.connected) process.send?.(event, () => undefined);
}

/** Resolves when the daemon has the socket, or is gone: what was on its way then is never told of again. */
function sendListener(id: string, listener: Server): Promise<void> {
  const event: LauncherEvent = { type: 'listener', id };
  return new Promise((resolve) => {
    if (!process.connected) {
      resolve();
      return;
    }
    const settle = (): void => {
      underWay.delete(settle);
      resolve();
    };
    underWay.add(settle);
    process.send?.(event, listener, {}, settle);
  });
}

async function answer(request: LauncherRequest): Promise<void> {
  switch (request.type) {
    case 'open':
      opening = open(request.options);
      await opening;
      return;
    case 'start':
      await launcher?.start(request.spec);
      return;
    case 'freeze':
    case 'thaw':
      await confirm(request.request, async () => {
        if (request.type === 'thaw') launcher?.thaw(request.id);
        else await launcher?.freeze(request.id);
      });
      return;
    case 'specialize':
      await confirm(request.request, () => Promise.resolve(launcher?.specialize(request.id, request.change)));
      launcher?.afterSpecialize(request.id);
      return;
    case 'kill':
      launcher?.kill(request.id);
      return;
    case 'close':
      await end(0);
  }
}

async function open(options: LauncherOptions): Promise<void> {
  try {
    launcher = await Launcher.open(options, send, sendListener);
  } catch (error) {
    send({ type: 'refused', reason: error instanceof Error ? error.message : String(error) });
  }
}

async function confirm(request: number, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    send({ type: 'done', request, failure: undefined });
  } catch (error) {
    send({ type: 'done', request, failure: error instanceof Error ? error.message : String(error) });
  }
}

/** Once, whoever asks first and how often. What is being made when the end comes is to be taken away, too. */
function end(exitCode: number): Promise<void> {
  if (ending !== undefined) return ending;
  // What it leaves then, the next start of the platform takes away.
  setTimeout(() => process.exit(1), END_MS_MAX).unref();
  ending = opening.then(() => launcher?.close()).finally(() => process.exit(exitCode));
  return ending;
}

process.on('message', (message: LauncherRequest) => void answer(message));
/** The daemon is gone, whatever it died of: nothing of it may live on. */
function onAlone(): void {
  for (const settle of underWay) settle();
  void end(0);
}

process.on('disconnect', onAlone);
// The channel does not always tell: Node puts its end off until a socket that is on its way has been taken.
process.stdin.on('close', onAlone).on('error', onAlone).resume();
// A mistake of ours must not leave the machine full of things that nobody knows any more.
process.on('uncaughtException', (error) => {
  send({ type: 'note', text: `the launcher process gives up: ${error.stack ?? String(error)}` });
  void end(1);
});
// A terminal sends these to the daemon's whole process group; the daemon decides when the launcher ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('SIGHUP', () => undefined);
