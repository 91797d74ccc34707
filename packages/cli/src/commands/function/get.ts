import { apiPath } from '../../api/client.ts';
import { listAll } from '../../api/pages.ts';
import type { FunctionAnswer, TriggerAnswer } from '../../api/wire.ts';
import type { Command } from '../../command.ts';
import { formatBytes, formatTime } from '../../output/format.ts';
import { formatPairs, type Output } from '../../output/output.ts';

interface Options {
  readonly qualifier?: string;
}

/** Shown in a form of their own, or of no use to a person. */
const SHOWN_OTHERWISE: ReadonlySet<string> = new Set([
  'functionName',
  'codeSize',
  'codeChecksum',
  'createdTime',
  'lastModifiedTime',
  'environmentVariables',
]);

export const command: Command = {
  name: 'function get',
  summary: 'show one function',
  arguments: [{ name: 'function', summary: 'its name' }],
  options: [{ flags: '--qualifier <name>', summary: 'a version or an alias (default: LATEST)' }],
  examples: [
    { run: 'thaw function get hello', does: 'settings, code and addresses' },
    { run: 'thaw function get hello --qualifier prod --json', does: 'what the alias prod runs, as JSON' },
  ],
  run: async ({ output, connect }, [name = ''], { qualifier }: Options) => {
    const client = await connect();
    const path = apiPath('functions', name);
    const found = await client.json<FunctionAnswer>({ method: 'GET', path, query: { qualifier } });
    const triggers = await listAll<TriggerAnswer>(client, `${path}/triggers`, 'triggers');
    output.result({ ...found, triggers }, () => describeFunction(output, found, triggers));
  },
};

function describeFunction(
  output: Output,
  found: FunctionAnswer,
  triggers: readonly TriggerAnswer[],
): readonly string[] {
  const rest = Object.entries(found)
    .filter(([field, value]) => !SHOWN_OTHERWISE.has(field) && !isBlank(value))
    .map(([field, value]) => [field, typeof value === 'string' ? value : JSON.stringify(value)] as const);
  const environment = Object.entries(found['environmentVariables'] ?? {}).map(
    ([key, value]) => `${key}=${value}`,
  );
  return formatPairs(output, [
    ['name', found.functionName],
    ...rest,
    ['environment', environment.join('\n')],
    ['code', `${formatBytes(found.codeSize ?? 0)}, checksum ${found.codeChecksum ?? '?'}`],
    ['created', formatTime(typeof found['createdTime'] === 'string' ? found['createdTime'] : undefined)],
    ['modified', formatTime(found.lastModifiedTime)],
    ['triggers', triggers.map(describeTrigger).join('\n')],
  ]);
}

function describeTrigger(trigger: TriggerAnswer): string {
  const url = trigger.httpTrigger?.urlInternet ?? '';
  return `${trigger.triggerName} (${trigger.triggerType}, ${trigger.qualifier ?? 'LATEST'}) ${url}`.trimEnd();
}

function isBlank(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
