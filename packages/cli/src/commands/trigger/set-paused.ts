import { nativePath } from '../../api/client.ts';
import type { TriggerStatusAnswer } from '../../api/trigger-wire.ts';
import type { Command } from '../../command.ts';

/** `trigger pause` and `trigger resume` differ in a word. */
export function pauseCommand(
  verb: 'pause' | 'resume',
  texts: Pick<Command, 'summary' | 'details' | 'examples'>,
): Command {
  return {
    name: `trigger ${verb}`,
    ...texts,
    arguments: [
      { name: 'function', summary: "the function's name" },
      { name: 'trigger', summary: "the trigger's name" },
    ],
    run: async ({ output, connect }, [name = '', triggerName = '']) => {
      const client = await connect();
      const path = nativePath('functions', name, 'triggers', triggerName, verb);
      const status = await client.json<TriggerStatusAnswer>({ method: 'POST', path });
      output.result(status, () => [`${verb}d trigger ${triggerName} of ${name}`]);
    },
  };
}
