import { type Document, isNode, type LineCounter } from 'yaml';

/** Finds where in a YAML file a value stands, so that a message can say so. */
export class FilePosition {
  readonly #file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;

  constructor(file: string, document: Document, lines: LineCounter) {
    this.#file = file;
    this.#document = document;
    this.#lines = lines;
  }

  /** `s.yaml:12:7` of the value at `path`, or of the nearest thing around it that exists. */
  of(path: readonly PropertyKey[]): string {
    for (let length = path.length; length > 0; length -= 1) {
      const node: unknown = this.#document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) {
        const { line, col } = this.#lines.linePos(node.range[0]);
        return `${this.#file}:${line}:${col}`;
      }
    }
    return this.#file;
  }
}
