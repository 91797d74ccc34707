import type { Output } from './output.ts';

const BAR_CHARACTERS = 30;
const REDRAW_MS = 100;
/** Where nothing can be drawn over, so many lines tell the way to the end. */
const LINES = 10;

/** Shows how far something with a known end has come: a bar on a terminal, a few lines elsewhere, nothing with `--json`. */
export class Progress implements Disposable {
  readonly #output: Output;
  readonly #total: number;
  #drawnMs = -Infinity;
  #told = 0;
  #isDrawn = false;

  constructor(output: Output, total: number) {
    this.#output = output;
    this.#total = total;
  }

  show(done: number, about: string): void {
    if (this.#output.isJson) return;
    const text = `${done}/${this.#total}${about === '' ? '' : ` · ${about}`}`;
    if (!this.#output.isTerminal) {
      const step = Math.floor((done / this.#total) * LINES);
      if (step > this.#told) this.#output.note(text);
      this.#told = step;
      return;
    }
    const nowMs = performance.now();
    if (nowMs - this.#drawnMs < REDRAW_MS && done < this.#total) return;
    this.#drawnMs = nowMs;
    this.#isDrawn = true;
    this.#output.stderr.write(
      `\r\u{1b}[K${this.#output.styleError('cyan', bar(done / this.#total))} ${text}`,
    );
  }

  [Symbol.dispose](): void {
    if (this.#isDrawn) this.#output.stderr.write('\n');
  }
}

export function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_CHARACTERS);
  return `[${'█'.repeat(filled)}${'·'.repeat(BAR_CHARACTERS - filled)}]`;
}
