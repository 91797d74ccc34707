import { cpus } from 'node:os';

interface Times {
  readonly idle: number;
  readonly total: number;
}

/** How much of the machine's processors is left, whoever uses them. */
export class ProcessorTime {
  #last: Times = read();

  /** The share of their time that they idled since the last call, from 0 to 1. */
  idleShare(): number {
    const now = read();
    const total = now.total - this.#last.total;
    const idle = now.idle - this.#last.idle;
    this.#last = now;
    return total <= 0 ? 0 : idle / total;
  }
}

function read(): Times {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.irq + times.idle;
  }
  return { idle, total };
}
