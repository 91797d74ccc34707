import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { nativePath, type Client } from '../../api/client.ts';

export interface Chosen {
  readonly functionName: string | undefined;
  readonly taskIds: readonly string[];
  readonly all: boolean;
}

/** What a dead letter became; removed ones became nothing. */
export interface Done {
  readonly functionName: string;
  readonly taskId: string;
  readonly newTaskId?: string;
}

interface ManyAnswer {
  readonly redriven?: readonly Done[];
  readonly purged?: readonly Done[];
  readonly failed: readonly Failed[];
  readonly next?: string;
}

export interface Failed {
  readonly functionName: string;
  readonly taskId: string;
  readonly code: string;
  readonly message: string;
}

/** Throws where neither tasks nor `--all` say which: nobody redrives or removes everything by leaving out a word. */
export function requireChoice({ taskIds, all }: Chosen): void {
  if (all !== taskIds.length > 0) return;
  throw new ThawError('INVALID_ARGUMENT', 'name a function and its tasks, or give --all (and not both)');
}

/** Those that were there when it began: the server goes from the newest back, page by page. */
export async function eachPage(
  client: Client,
  action: 'redrive' | 'purge',
  functionName: string | undefined,
): Promise<{ readonly done: readonly Done[]; readonly failed: readonly Failed[] }> {
  const done: Done[] = [];
  const failed: Failed[] = [];
  let after: string | undefined;
  do {
    const path = nativePath('dead-letters', action);
    const answer = await client.json<ManyAnswer>({ method: 'POST', path, json: { functionName, after } });
    done.push(...(answer.redriven ?? answer.purged ?? []));
    failed.push(...answer.failed);
    after = answer.next;
  } while (after !== undefined);
  return { done, failed };
}
