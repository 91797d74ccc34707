import type { CommandOption } from '../../command.ts';
import { parseCount, parseDurationMs } from '../../option-values.ts';

export interface AttributeOptions {
  readonly visibility?: number;
  readonly delay?: number;
  readonly retention?: number;
  readonly maxBytes?: number;
  readonly maxReceives?: number;
  readonly deadLetter?: string;
}

/** Of `queue create` and `queue set`. */
export const ATTRIBUTE_OPTIONS: readonly CommandOption[] = [
  {
    flags: '--visibility <time>',
    summary: "how long a received message is nobody else's",
    parse: parseDurationMs,
  },
  {
    flags: '--delay <time>',
    summary: 'how long a message waits before it can be received',
    parse: parseDurationMs,
  },
  { flags: '--retention <time>', summary: 'how long a message is kept', parse: parseDurationMs },
  { flags: '--max-bytes <count>', summary: 'how large a message may be', parse: parseCount },
  { flags: '--dead-letter <queue>', summary: 'where messages go that were received too often' },
  { flags: '--max-receives <count>', summary: 'how often that is', parse: parseCount },
];

/** As the API names them. */
export function attributesJson(options: AttributeOptions): Record<string, unknown> {
  const { visibility, delay, retention, maxBytes, maxReceives, deadLetter } = options;
  const seconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1000);
  return {
    visibilityTimeoutSeconds: seconds(visibility),
    delaySeconds: seconds(delay),
    retentionSeconds: seconds(retention),
    messageBytesMax: maxBytes,
    maxReceives,
    deadLetterQueue: deadLetter,
  };
}
