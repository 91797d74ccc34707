/** A dead letter as the API shows it. Times are milliseconds since 1970. */
export interface DeadLetterAnswer {
  readonly functionName: string;
  readonly taskId: string;
  readonly qualifier: string;
  readonly requestId: string;
  readonly trigger: string;
  readonly status: string;
  readonly enqueuedTime: number;
  readonly endTime?: number;
  readonly tries: number;
  readonly error?: { readonly code: string; readonly errorType?: string; readonly message: string };
  readonly payloadSize: number;
  readonly destinationStatus: string;
  readonly payload?: string;
  readonly payloadEncoding?: string;
  readonly events?: readonly { readonly status: string; readonly at: number; readonly detail: string }[];
}

export interface DeadLettersAnswer {
  readonly deadLetters: readonly DeadLetterAnswer[];
  readonly next?: string;
}

export function errorLine({ error }: DeadLetterAnswer): string {
  return error === undefined ? '' : `${error.errorType ?? error.code}: ${error.message}`;
}
