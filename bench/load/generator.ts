/**
 * The load generator, a process of its own: `node generator.ts <file with a LoadPlan>` prints a `LoadOutcome`. A plan with
 * a rate is an open loop: requests leave when they are due whatever the other side does, and a latency counts from then,
 * so that a stall shows in every request that it held up.
 */
import { readFileSync } from 'node:fs';
import { HttpLine, requestBytes, type RequestText, type Target } from './http-line.ts';
import { LatencyHistogram } from './histogram.ts';

export interface LoadPlan {
  readonly target: Target;
  readonly connections: number;
  readonly seconds: number;
  /**
   * So many seconds come before those, whose requests are sent and not counted: a generator that is still being compiled
   * keeps more requests waiting in its first tenth of a second than make a tail. Only with a rate.
   */
  readonly warmUpSeconds?: number;
  /** Requests a second; absent: each connection sends its next one when it has the answer to the last. */
  readonly rate?: number;
  /** At most so many requests; absent: as many as the time allows. */
  readonly count?: number;
  /** Sent in turn. The body is base64. */
  readonly requests: readonly (Omit<RequestText, 'body'> & { readonly body: string })[];
}

export interface LoadOutcome {
  readonly requests: number;
  /** Answers other than 2xx, and connections that broke. */
  readonly failed: number;
  /** From the first request that counts to the last answer. */
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** What is still under way this long after the last request was due counts as failed. */
const LINGER_MS_MAX = 30_000;

class Run {
  readonly #plan: LoadPlan;
  readonly #requests: readonly Buffer[];
  readonly #histogram = new LatencyHistogram();
  readonly #idle: HttpLine[] = [];
  readonly #onDone: (outcome: LoadOutcome) => void;
  readonly #countedFromMs: number;
  readonly #startMs = performance.now();
  /** Times at which requests were due that no connection was free for. */
  readonly #due: number[] = [];
  #dueAt = 0;
  #planned = 0;
  #sent = 0;
  #open = 0;
  #failed = 0;
  #isDone = false;

  constructor(plan: LoadPlan, onDone: (outcome: LoadOutcome) => void) {
    this.#plan = plan;
    this.#onDone = onDone;
    this.#countedFromMs = this.#startMs + (plan.warmUpSeconds ?? 0) * 1000;
    this.#requests = plan.requests.map((request) =>
      requestBytes({ ...request, body: Buffer.from(request.body, 'base64') }),
    );
    for (let at = 0; at < plan.connections; at += 1) this.#idle.push(new HttpLine(plan.target));
    if (plan.rate === undefined) this.#fill();
    else this.#tick(plan.rate);
  }

  get #isOver(): boolean {
    const { count = Infinity } = this.#plan;
    return this.#planned >= count || performance.now() - this.#startMs >= this.#secondsInAll * 1000;
  }

  get #secondsInAll(): number {
    return this.#plan.seconds + (this.#plan.warmUpSeconds ?? 0);
  }

  #fill(): void {
    while (this.#idle.length > 0 && !this.#isOver) {
      this.#planned += 1;
      this.#send(performance.now());
    }
    this.#endIfDone();
  }

  readonly #tick = (rate: number): void => {
    const elapsedS = Math.min(this.#secondsInAll, (performance.now() - this.#startMs) / 1000);
    // The first is due at once, so whoever is due at this moment counts too.
    const due = Math.min(Math.floor(elapsedS * rate) + 1, Math.ceil(this.#secondsInAll * rate));
    const wanted = Math.min(this.#plan.count ?? Infinity, due);
    for (; this.#planned < wanted; this.#planned += 1) {
      this.#due.push(this.#startMs + (this.#planned / rate) * 1000);
    }
    this.#sendDue();
    if (this.#isOver) {
      setTimeout(() => this.#finish(), LINGER_MS_MAX).unref();
      this.#endIfDone();
    } else {
      // Often enough that the generator adds little to a latency, seldom enough that it leaves the processor to others.
      setTimeout(this.#tick, 0, rate);
    }
  };

  #sendDue(): void {
    while (this.#dueAt < this.#due.length && this.#idle.length > 0) {
      const dueMs = this.#due[this.#dueAt] ?? 0;
      this.#dueAt += 1;
      this.#send(dueMs);
    }
  }

  #send(sinceMs: number): void {
    const line = this.#idle.pop();
    const request = this.#requests[this.#sent % this.#requests.length];
    if (line === undefined || request === undefined) throw new Error('a plan has connections and requests');
    this.#sent += 1;
    this.#open += 1;
    line.send(request, (status, error) => {
      this.#open -= 1;
      if (sinceMs >= this.#countedFromMs) this.#histogram.add(performance.now() - sinceMs);
      if (status < 200 || status > 299) this.#failed += 1;
      if (error === undefined) this.#idle.push(line);
      else this.#idle.push(new HttpLine(this.#plan.target));
      if (this.#plan.rate === undefined) this.#fill();
      else this.#sendDue();
      this.#endIfDone();
    });
  }

  #endIfDone(): void {
    if (this.#open === 0 && this.#dueAt === this.#due.length && this.#isOver) this.#finish();
  }

  #finish(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const histogram = this.#histogram;
    this.#onDone({
      requests: histogram.total,
      failed: this.#failed + this.#open,
      seconds: (performance.now() - this.#countedFromMs) / 1000,
      p50: histogram.quantile(0.5),
      p90: histogram.quantile(0.9),
      p99: histogram.quantile(0.99),
      p999: histogram.quantile(0.999),
      max: histogram.maxMs,
    });
  }
}

const plan: LoadPlan = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const run = new Run(plan, (outcome) => {
  process.stdout.write(JSON.stringify(outcome), () => process.exit(0));
});
void run;
