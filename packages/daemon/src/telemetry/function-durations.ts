import { Histogram, type MetricObjectWithValues, type MetricValueWithName, type Registry } from 'prom-client';

interface Counts {
  /** By bucket, the last one for what no bound covers. */
  readonly buckets: number[];
  sumMs: number;
  count: number;
}

export interface FunctionDurationsOptions {
  readonly name: string;
  readonly help: string;
  /** Upper bounds in seconds, ascending. */
  readonly boundsS: readonly number[];
  readonly registers: Registry[];
}

/**
 * A histogram by function that is cheap to feed: the library's own hashes its labels for every observation, here one is
 * a map look-up and three additions. What the exposition needs is made when somebody looks.
 */
export class FunctionDurations extends Histogram<'function'> {
  readonly #boundsS: readonly number[];
  readonly #name: string;
  /** Gives the exposition all but the values. */
  readonly #empty: Histogram<'function'>;
  readonly #byFunction = new Map<string, Counts>();

  constructor({ name, help, boundsS, registers }: FunctionDurationsOptions) {
    super({ name, help, labelNames: ['function'], buckets: [...boundsS], registers });
    this.#empty = new Histogram({ name, help, labelNames: ['function'], registers: [] });
    this.#name = name;
    this.#boundsS = boundsS;
  }

  add(functionName: string, ms: number): void {
    let counts = this.#byFunction.get(functionName);
    if (counts === undefined) {
      counts = { buckets: Array.from({ length: this.#boundsS.length + 1 }, () => 0), sumMs: 0, count: 0 };
      this.#byFunction.set(functionName, counts);
    }
    const seconds = ms / 1000;
    let bucket = 0;
    while (bucket < this.#boundsS.length && seconds > (this.#boundsS[bucket] ?? Infinity)) bucket += 1;
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1;
    counts.sumMs += ms;
    counts.count += 1;
  }

  override get(): Promise<MetricObjectWithValues<MetricValueWithName<'function'>>> {
    return this.getForPromString();
  }

  /** What the library asks in place of `get` when it makes the text. */
  async getForPromString(): Promise<MetricObjectWithValues<MetricValueWithName<'function'>>> {
    return { ...(await this.#empty.get()), values: [...this.#values()] };
  }

  *#values(): Iterable<MetricValueWithName<'function'>> {
    for (const [functionName, { buckets, sumMs, count }] of this.#byFunction) {
      let below = 0;
      for (const [at, bound] of [...this.#boundsS, '+Inf'].entries()) {
        below += buckets[at] ?? 0;
        const labels: Record<string, string | number> = { function: functionName, le: bound };
        yield { metricName: `${this.#name}_bucket`, labels, value: below };
      }
      const labels = { function: functionName };
      yield { metricName: `${this.#name}_sum`, labels, value: sumMs / 1000 };
      yield { metricName: `${this.#name}_count`, labels, value: count };
    }
  }
}
