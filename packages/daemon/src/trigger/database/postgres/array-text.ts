import type { RowValue } from '../row-change.ts';

/**
 * PostgreSQL's text of an array (`{1,NULL,"a \"b\""}`, nested for more dimensions, after `[0:1]=` where it does not begin
 * at 1) as an array. Manual, section 8.15.6. Throws where the text is none.
 */
export function parseArrayText(text: string, element: (text: string) => RowValue): readonly RowValue[] {
  const reader = new ArrayReader(text, element);
  return reader.read();
}

class ArrayReader {
  readonly #text: string;
  readonly #element: (text: string) => RowValue;
  #at: number;

  constructor(text: string, element: (text: string) => RowValue) {
    this.#text = text;
    this.#element = element;
    this.#at = text.startsWith('[') ? text.indexOf('=') + 1 : 0;
  }

  read(): RowValue[] {
    this.#take('{');
    const values: RowValue[] = [];
    if (this.#next === '}') {
      this.#at += 1;
      return values;
    }
    for (;;) {
      values.push(this.#next === '{' ? this.read() : this.#readElement());
      if (this.#next === '}') break;
      this.#take(',');
    }
    this.#at += 1;
    return values;
  }

  get #next(): string | undefined {
    return this.#text[this.#at];
  }

  #take(character: string): void {
    if (this.#next !== character) throw new Error(`an array's text lacks '${character}' at ${this.#at}`);
    this.#at += 1;
  }

  #readElement(): RowValue {
    if (this.#next === '"') return this.#element(this.#readQuoted());
    const start = this.#at;
    while (this.#next !== undefined && this.#next !== ',' && this.#next !== '}') {
      this.#at += this.#next === '\\' ? 2 : 1;
    }
    const plain = this.#text.slice(start, this.#at);
    return plain === 'NULL' ? null : this.#element(plain.replaceAll(/\\(.)/gsu, '$1'));
  }

  #readQuoted(): string {
    this.#take('"');
    const start = this.#at;
    while (this.#next !== undefined && this.#next !== '"') this.#at += this.#next === '\\' ? 2 : 1;
    const quoted = this.#text.slice(start, this.#at);
    this.#take('"');
    return quoted.replaceAll(/\\(.)/gsu, '$1');
  }
}
