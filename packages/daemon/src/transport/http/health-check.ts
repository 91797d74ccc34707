import type { HealthCheck } from '../../model/function.ts';
import type { HttpConnection } from './http-connection.ts';

/** While a server comes up it is asked more often than later, so that a first refusal does not cost a whole period. */
const STARTING_PERIOD_MS_MAX = 250;

/**
 * Asks a server whether it is well (FC: GET, a status from 200 to 399). Before the instance serves, until it has said yes
 * often enough; afterwards for as long as it works, until it has failed to say so too often. What sleeps is not asked: a
 * frozen instance would seem ill.
 */
export class HealthChecks {
  readonly #check: HealthCheck;
  readonly #connection: HttpConnection;
  /** Whether the instance freezes when it is idle. */
  readonly #sleeps: boolean;
  #timer: NodeJS.Timeout | undefined;
  #giveUp: (() => void) | undefined;

  constructor(check: HealthCheck, connection: HttpConnection, sleeps: boolean) {
    this.#check = check;
    this.#connection = connection;
    this.#sleeps = sleeps;
  }

  /** Calls back when the server is well; whoever waits bounds the wait. */
  untilHealthy(onHealthy: () => void): void {
    const { periodSeconds, initialDelaySeconds, successThreshold } = this.#check;
    const periodMs = Math.min(periodSeconds * 1000, STARTING_PERIOD_MS_MAX);
    let successes = 0;
    const next = (delayMs: number): void => {
      this.#after(delayMs, () => {
        this.#ask((isWell) => {
          successes = isWell ? successes + 1 : 0;
          if (successes >= successThreshold) onHealthy();
          else next(periodMs);
        });
      });
    };
    next(initialDelaySeconds * 1000);
  }

  /** Calls back once when the server has failed as often in a row as is allowed. */
  watch(onUnhealthy: () => void): void {
    const { periodSeconds, failureThreshold } = this.#check;
    let failures = 0;
    const next = (): void => {
      this.#after(periodSeconds * 1000, () => {
        if (!this.#isAwake()) {
          next();
          return;
        }
        this.#ask((isWell) => {
          // It may have fallen asleep over the question.
          if (isWell || !this.#isAwake()) failures = 0;
          else failures += 1;
          if (failures >= failureThreshold) onUnhealthy();
          else next();
        });
      });
    };
    next();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#giveUp?.();
    this.#giveUp = undefined;
    this.#timer = undefined;
  }

  #isAwake(): boolean {
    return !this.#sleeps || this.#connection.inFlight > 0;
  }

  #ask(onAnswer: (isWell: boolean) => void): void {
    const limit = setTimeout(() => giveUp(), this.#check.timeoutSeconds * 1000);
    let isStopped = false;
    const giveUp = this.#connection.call('GET', this.#check.httpGetUrl, (answer) => {
      clearTimeout(limit);
      this.#giveUp = undefined;
      if (!isStopped) onAnswer(answer.kind === 'answered' && answer.status >= 200 && answer.status < 400);
    });
    this.#giveUp = () => {
      isStopped = true;
      giveUp();
    };
  }

  #after(delayMs: number, work: () => void): void {
    this.#timer = setTimeout(work, delayMs);
  }
}
