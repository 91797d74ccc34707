import type { OutcomeHandler } from './task-outcome.ts';

/**
 * Several handlers as one: an outcome is handed on when each has taken it. One that has is not told again while another
 * is to be asked later, unless the platform dies in between.
 */
export function outcomeHandlers(handlers: readonly OutcomeHandler[]): OutcomeHandler {
  /** By task, what those said that have taken it; only of tasks which some have and some have not. */
  const taken = new Map<number, ReadonlyMap<OutcomeHandler, string>>();
  return {
    isAwaited: (task, status) => handlers.some((handler) => handler.isAwaited(task, status)),
    onSettled: async (task) => {
      const before = taken.get(task.seq);
      const answers = await Promise.all(
        handlers.map(async (handler) => {
          const status = before?.get(handler) ?? (await handler.onSettled(task));
          return [handler, status] as const;
        }),
      );
      const said = new Map(
        answers.flatMap(([handler, status]) => (status === undefined ? [] : [[handler, status]])),
      );
      if (said.size === handlers.length) {
        taken.delete(task.seq);
        const statuses = [...said.values()];
        return (
          statuses.find((status) => status.startsWith('Failed')) ??
          statuses.find((status) => status !== '') ??
          ''
        );
      }
      if (said.size > 0) taken.set(task.seq, said);
      return undefined;
    },
  };
}
