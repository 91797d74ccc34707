import type { Socket } from 'node:net';
import { usedBuffer } from '../../base/buffer-garbage.ts';
import { NumberedTable } from '../../base/numbered-table.ts';
import type { HookName, RuntimeConnection, RuntimeEvents } from '../runtime-connection.ts';
import type {
  Exchange,
  HandlerKind,
  InstanceRequest,
  LogSource,
  ReportedError,
  ResponseSink,
} from '../transport.ts';
import {
  COPY_BYTES_MAX,
  decodeData,
  decodeHeadAndBody,
  encodeCredit,
  encodeDataPrefix,
  encodeFrame,
  encodeJsonFrame,
  encodeRequest,
  FRAME,
  FrameReader,
  LinkProtocolError,
  readByte,
} from './frame.ts';
import { LinkExchange, type ExchangeChannel } from './link-exchange.ts';
import { LinkOutbox } from './link-outbox.ts';
import {
  parseError,
  parseHello,
  parseHookEnd,
  parseReady,
  parseStartFailed,
  type Hello,
  type Specialization,
} from './link-messages.ts';

/** A runtime's events, with the greeting of its shim in the place of `onBooted`. */
export interface LinkEvents extends Omit<RuntimeEvents, 'onBooted'> {
  onHello(hello: Hello): void;
  /** The code is loaded, where that was asked for ahead; `proceed` is next. */
  onLoaded?(): void;
}

/** Where the connection stands; the contract's drawing in docs/RUNTIMES.md, section 3. */
type Stage = 'connected' | 'generic' | 'loading' | 'held' | 'initializing' | 'ready' | 'closed';

const STARTING: ReadonlySet<Stage> = new Set<Stage>(['loading', 'held', 'initializing']);
const EMPTY = Buffer.alloc(0);
/** How a hook ended whose process did. */
const CUT_OFF: ReportedError = {
  errorType: 'ProcessExited',
  errorMessage: 'its process ended',
  handled: false,
  fatal: true,
};
const SOURCES: readonly (LogSource | undefined)[] = [undefined, 'stdout', 'stderr'];

/** The daemon's side of one link: start of the runtime, then any number of exchanges at once. */
export class LinkConnection implements RuntimeConnection, ExchangeChannel {
  readonly #socket: Socket;
  readonly #outbox: LinkOutbox;
  readonly #events: LinkEvents;
  /** Hooks take their numbers from it too. */
  readonly #exchanges = new NumberedTable<LinkExchange>();
  readonly #hooks = new Map<number, (error: ReportedError | undefined) => void>();
  #stage: Stage = 'connected';
  #isToBeHeld = false;
  #handlerKind: HandlerKind = 'event';

  constructor(socket: Socket, events: LinkEvents) {
    this.#socket = socket;
    this.#outbox = new LinkOutbox(socket);
    this.#events = events;
    const reader = new FrameReader(this.#onFrame, this.#onBody);
    let cause: unknown = new LinkProtocolError('the runtime closed the link');
    socket.on('data', (chunk: Buffer) => {
      usedBuffer(chunk.length);
      try {
        reader.push(chunk);
      } catch (error) {
        cause = error;
        socket.destroy();
      }
    });
    socket.on('error', (error) => {
      cause = error;
    });
    socket.on('close', () => this.#onClosed(cause));
  }

  get handlerKind(): HandlerKind {
    return this.#handlerKind;
  }

  specialize(specialization: Specialization): void {
    if (this.#stage !== 'generic') throw new Error(`a link that is ${this.#stage} was specialised`);
    this.#stage = 'loading';
    this.#isToBeHeld = specialization.hold === true;
    this.#outbox.sendNow(encodeJsonFrame(FRAME.specialize, 0, specialization));
  }

  /** After `onLoaded`: the start goes on. */
  proceed(): void {
    if (this.#stage !== 'held') throw new Error(`a link that is ${this.#stage} was told to go on`);
    this.#stage = 'loading';
    this.#outbox.sendNow(encodeFrame(FRAME.proceed, 0, EMPTY));
  }

  exchange(request: InstanceRequest, sink: ResponseSink): Exchange {
    if (this.#stage !== 'ready') throw new Error(`a link that is ${this.#stage} was asked to serve`);
    const stream = this.#exchanges.nextNumber();
    const exchange = new LinkExchange(this, stream, request, sink);
    this.#exchanges.set(stream, exchange);
    return exchange;
  }

  runHook(hook: HookName, onEnd: (error: ReportedError | undefined) => void): void {
    if (this.#stage !== 'ready') throw new Error(`a link that is ${this.#stage} was asked to run a hook`);
    const stream = this.#exchanges.nextNumber();
    this.#hooks.set(stream, onEnd);
    this.#outbox.sendNow(encodeJsonFrame(FRAME.hook, stream, { hook }));
  }

  close(): void {
    this.#socket.destroy();
  }

  sendRequest(stream: number, head: string, body: Buffer, isEnd: boolean): void {
    const frame = encodeRequest(stream, head, body, isEnd);
    // A runtime that has nothing to do gets it at once; a busy one, with what else comes in this turn.
    const isWhole = body.length <= COPY_BYTES_MAX;
    if (!isWhole) this.#outbox.send(frame);
    const last = isWhole ? frame : body;
    if (this.#exchanges.size === 0) this.#outbox.sendNow(last);
    else this.#outbox.send(last);
  }

  sendData(stream: number, body: Buffer, isEnd: boolean): void {
    this.#outbox.send(encodeDataPrefix(stream, body.length, isEnd));
    if (body.length > 0) this.#outbox.send(body);
  }

  sendCredit(stream: number, bytes: number): void {
    this.#outbox.send(encodeCredit(stream, bytes));
  }

  sendCancel(stream: number): void {
    this.#outbox.send(encodeFrame(FRAME.cancel, stream, EMPTY));
  }

  forget(stream: number): void {
    this.#exchanges.delete(stream);
  }

  readonly #onFrame = (type: number, stream: number, payload: Buffer): void => {
    // Frames are read in bulk; those behind the one that closed the connection are not looked at.
    if (this.#stage === 'closed') return;
    if (type < FRAME.request) this.#onControlFrame(type, stream, payload);
    else this.#onStreamFrame(type, stream, payload);
  };

  readonly #onBody = (stream: number, body: Buffer, isEnd: boolean): void => {
    if (this.#stage === 'closed') return;
    this.#exchanges.get(stream)?.onData(body, isEnd);
  };

  #onControlFrame(type: number, stream: number, payload: Buffer): void {
    if (type === FRAME.hello && this.#stage === 'connected') {
      const hello = parseHello(payload);
      this.#stage = 'generic';
      this.#events.onHello(hello);
    } else if (type === FRAME.loaded && this.#stage === 'loading' && this.#isToBeHeld) {
      this.#isToBeHeld = false;
      this.#stage = 'held';
      this.#events.onLoaded?.();
    } else if (this.#isToBeHeld && type !== FRAME.startFailed) {
      throw new LinkProtocolError(`a frame of type ${type} came while the code was loaded ahead`);
    } else if (type === FRAME.initializing && this.#stage === 'loading') {
      this.#stage = 'initializing';
      this.#events.onInitializing();
    } else if (type === FRAME.ready && (this.#stage === 'loading' || this.#stage === 'initializing')) {
      this.#handlerKind = parseReady(payload);
      this.#stage = 'ready';
      this.#events.onReady(this.#handlerKind);
    } else if (type === FRAME.startFailed && STARTING.has(this.#stage)) {
      this.#events.onStartFailed(parseStartFailed(payload));
    } else if (type === FRAME.hookEnd && this.#stage === 'ready') {
      const onEnd = this.#hooks.get(stream);
      this.#hooks.delete(stream);
      onEnd?.(parseHookEnd(payload).error);
    } else {
      throw new LinkProtocolError(`a frame of type ${type} came while the link was ${this.#stage}`);
    }
  }

  #onStreamFrame(type: number, stream: number, payload: Buffer): void {
    if (type === FRAME.log) {
      this.#onLog(stream, payload);
      return;
    }
    const exchange = this.#exchanges.get(stream);
    // The stream has ended here; the frame was under way meanwhile.
    if (exchange === undefined) return;
    if (type === FRAME.response) {
      const { head, body, isEnd } = decodeHeadAndBody(payload);
      exchange.onResponse(head, body, isEnd);
    } else if (type === FRAME.data) {
      const { body, isEnd } = decodeData(payload);
      exchange.onData(body, isEnd);
    } else if (type === FRAME.credit && payload.length === 4) {
      exchange.onCredit(payload.readUInt32BE(0));
    } else if (type === FRAME.error) {
      exchange.onError(parseError(payload));
    } else {
      throw new LinkProtocolError(`a runtime sent a frame of type ${type}`);
    }
  }

  #onLog(stream: number, payload: Buffer): void {
    const source = SOURCES[readByte(payload, 0)];
    if (source === undefined) throw new LinkProtocolError('a LOG frame has an unknown source');
    const text = payload.toString('utf8', 1);
    const exchange = this.#exchanges.get(stream);
    if (exchange === undefined) this.#events.onLog(source, text);
    else exchange.onLog(source, text);
  }

  #onClosed(cause: unknown): void {
    this.#stage = 'closed';
    this.#events.onClosed(cause);
    for (const exchange of this.#exchanges.values()) exchange.onBroken(cause);
    for (const onEnd of this.#hooks.values()) onEnd(CUT_OFF);
    this.#hooks.clear();
  }
}
