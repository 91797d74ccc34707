import type { ExchangeFailure, LogSource, ResponseHead, ResponseSink } from './transport.ts';

const WAIT_MS_MAX = 20_000;
const POLL_MS = 10;
/** A figure that did not change over so many looks is at rest. */
const LOOKS = 20;

/** For tests of transports: writes down what it is told, in order. */
export class RecordingSink implements ResponseSink {
  readonly calls: ('head' | 'data' | 'end' | 'failure')[] = [];
  readonly logs: string[] = [];
  readonly ended: Promise<void>;
  head: ResponseHead | undefined;
  failure: ExchangeFailure | undefined;
  bytes = 0;
  readonly #chunks: Buffer[] = [];
  #pauses: boolean;
  #settle: () => void = () => undefined;

  constructor({ pausesAtFirst = false } = {}) {
    this.#pauses = pausesAtFirst;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Takes all that comes from now on. */
  flow(): void {
    this.#pauses = false;
  }

  /** What came, up to 1 MiB. */
  text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  onHead(head: ResponseHead): void {
    this.head = head;
    this.calls.push('head');
  }

  onData(chunk: Buffer): boolean {
    if (this.bytes < 1024 * 1024) this.#chunks.push(chunk);
    this.bytes += chunk.length;
    if (this.calls.at(-1) !== 'data') this.calls.push('data');
    return !this.#pauses;
  }

  onEnd(): void {
    this.calls.push('end');
    this.#settle();
  }

  onFailure(failure: ExchangeFailure): void {
    this.failure = failure;
    this.calls.push('failure');
    this.#settle();
  }

  onLog(_source: LogSource, text: string): void {
    this.logs.push(text);
  }
}

/** Waits until the figure is `wanted`, or where none is given, until it is above zero and does not change any more. */
export async function settled(what: string, figure: () => number, wanted?: number): Promise<void> {
  const untilMs = performance.now() + WAIT_MS_MAX;
  let last = Number.NaN;
  for (let unchanged = 0; unchanged < LOOKS;) {
    const now = figure();
    if (now === wanted) return;
    unchanged = wanted === undefined && now === last && now > 0 ? unchanged + 1 : 0;
    last = now;
    if (performance.now() > untilMs) throw new Error(`waited in vain for ${what}: it is ${now}`);
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}
