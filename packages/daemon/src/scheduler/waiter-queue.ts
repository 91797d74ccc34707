import { Fifo } from '../base/fifo.ts';

/** Where both kinds wait, one in so many turns is for those that nobody waits for: they are slow, not starved. */
const PATIENT_TURN = 8;

/** Who waits for a slot, in order of arrival; those with a caller behind them go before those without. */
export class WaiterQueue<W extends { readonly isPatient?: boolean | undefined }> {
  readonly #urgent: Fifo<W>;
  readonly #patient: Fifo<W>;
  readonly #capacity: number;
  #urgentInRow = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#urgent = new Fifo(capacity);
    this.#patient = new Fifo(capacity);
  }

  get size(): number {
    return this.#urgent.size + this.#patient.size;
  }

  /** False when the queue is full: the waiter was not taken. */
  push(waiter: W): boolean {
    return this.size < this.#capacity && this.#fifoOf(waiter).push(waiter);
  }

  shift(): W | undefined {
    const isPatientsTurn = this.#urgentInRow >= PATIENT_TURN - 1 || this.#urgent.size === 0;
    if (isPatientsTurn && this.#patient.size > 0) {
      this.#urgentInRow = 0;
      return this.#patient.shift();
    }
    this.#urgentInRow += 1;
    return this.#urgent.shift();
  }

  remove(waiter: W): boolean {
    return this.#fifoOf(waiter).remove(waiter);
  }

  #fifoOf(waiter: W): Fifo<W> {
    return waiter.isPatient === true ? this.#patient : this.#urgent;
  }
}
