import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { nativePath, type Client } from '../../api/client.ts';
import type { Command, CommandContext } from '../../command.ts';

/** How `redrive` and `purge` are told which dead letters: by name, or all of a function, or of all functions. */
export const CHOICE = {
  arguments: [
    { name: 'function', summary: 'whose', optional: true },
    { name: 'tasks...', summary: 'which of them', optional: true },
  ],
  options: [{ flags: '--all', summary: 'all of the function, or of all functions' }],
} as const satisfies Pick<Command, 'arguments' | 'options'>;

export interface ChoiceOptions {
  readonly all?: boolean;
}

/** What a dead letter became; removed ones became nothing. */
export interface Done {
  readonly functionName: string;
  readonly taskId: string;
  readonly newTaskId?: string;
}

export interface Failed {
  readonly functionName: string;
  readonly taskId: string;
  readonly code: string;
  readonly message: string;
}

interface Outcome {
  readonly done: readonly Done[];
  readonly failed: readonly Failed[];
}

interface ManyAnswer {
  readonly redriven?: readonly Done[];
  readonly purged?: readonly Done[];
  readonly failed: readonly Failed[];
  readonly next?: string;
}

/**
 * Does it to all that were chosen: those with a name one after the other, until one fails. Throws where neither tasks
 * nor `--all` say which: nobody redrives or removes everything by leaving out a word.
 */
export async function eachChosen(
  connect: CommandContext['connect'],
  action: 'redrive' | 'purge',
  [functionName, ...taskIds]: readonly string[],
  { all = false }: ChoiceOptions,
  one: (client: Client, functionName: string, taskId: string) => Promise<Done>,
): Promise<Outcome> {
  if (all === taskIds.length > 0) {
    throw new ThawError('INVALID_ARGUMENT', 'name a function and its tasks, or give --all (and not both)');
  }
  const client = await connect();
  if (all) return eachPage(client, action, functionName);
  const done: Done[] = [];
  for (const taskId of taskIds) done.push(await one(client, functionName ?? '', taskId));
  return { done, failed: [] };
}

/** Those that were there when it began: the server goes from the newest back, page by page. */
async function eachPage(
  client: Client,
  action: 'redrive' | 'purge',
  functionName: string | undefined,
): Promise<Outcome> {
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
