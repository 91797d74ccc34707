import type { Command } from './command.ts';

type Load = () => Promise<{ readonly command: Command }>;

/**
 * Every command and where it lives. A command's file is loaded only when it is called (or when help lists all), so that
 * `thaw invoke` does not pay for `thaw dev`.
 */
export const CATALOGUE: ReadonlyMap<string, Load> = new Map<string, Load>([
  ['serve', () => import('./commands/serve.ts')],
  ['deploy', () => import('./commands/deploy.ts')],
  ['remove', () => import('./commands/remove.ts')],
  ['dev', () => import('./commands/dev.ts')],
  ['invoke', () => import('./commands/invoke.ts')],
  ['map', () => import('./commands/map.ts')],
  ['logs', () => import('./commands/logs.ts')],
  ['usage', () => import('./commands/usage.ts')],
  ['info', () => import('./commands/info.ts')],
  ['function list', () => import('./commands/function/list.ts')],
  ['function get', () => import('./commands/function/get.ts')],
  ['function delete', () => import('./commands/function/delete.ts')],
  ['version publish', () => import('./commands/version/publish.ts')],
  ['version list', () => import('./commands/version/list.ts')],
  ['version delete', () => import('./commands/version/delete.ts')],
  ['alias list', () => import('./commands/alias/list.ts')],
  ['alias get', () => import('./commands/alias/get.ts')],
  ['alias set', () => import('./commands/alias/set.ts')],
  ['alias delete', () => import('./commands/alias/delete.ts')],
  ['trigger list', () => import('./commands/trigger/list.ts')],
  ['trigger get', () => import('./commands/trigger/get.ts')],
  ['trigger test', () => import('./commands/trigger/test.ts')],
  ['trigger pause', () => import('./commands/trigger/pause.ts')],
  ['trigger resume', () => import('./commands/trigger/resume.ts')],
  ['queue create', () => import('./commands/queue/create.ts')],
  ['queue list', () => import('./commands/queue/list.ts')],
  ['queue get', () => import('./commands/queue/get.ts')],
  ['queue set', () => import('./commands/queue/set.ts')],
  ['queue delete', () => import('./commands/queue/delete.ts')],
  ['queue send', () => import('./commands/queue/send.ts')],
  ['queue receive', () => import('./commands/queue/receive.ts')],
  ['queue purge', () => import('./commands/queue/purge.ts')],
  ['queue redrive', () => import('./commands/queue/redrive.ts')],
  ['bucket create', () => import('./commands/bucket/create.ts')],
  ['bucket list', () => import('./commands/bucket/list.ts')],
  ['bucket delete', () => import('./commands/bucket/delete.ts')],
  ['object put', () => import('./commands/object/put.ts')],
  ['object get', () => import('./commands/object/get.ts')],
  ['object list', () => import('./commands/object/list.ts')],
  ['object delete', () => import('./commands/object/delete.ts')],
  ['image ls', () => import('./commands/image/ls.ts')],
  ['image inspect', () => import('./commands/image/inspect.ts')],
  ['image trace', () => import('./commands/image/trace.ts')],
  ['image cache', () => import('./commands/image/cache.ts')],
  ['layer list', () => import('./commands/layer/list.ts')],
  ['layer publish', () => import('./commands/layer/publish.ts')],
  ['task list', () => import('./commands/task/list.ts')],
  ['task get', () => import('./commands/task/get.ts')],
  ['task result', () => import('./commands/task/result.ts')],
  ['task stop', () => import('./commands/task/stop.ts')],
  ['dead-letter list', () => import('./commands/dead-letter/list.ts')],
  ['dead-letter get', () => import('./commands/dead-letter/get.ts')],
  ['dead-letter redrive', () => import('./commands/dead-letter/redrive.ts')],
  ['dead-letter purge', () => import('./commands/dead-letter/purge.ts')],
  ['invocation list', () => import('./commands/invocation/list.ts')],
  ['invocation get', () => import('./commands/invocation/get.ts')],
  ['invocation replay', () => import('./commands/invocation/replay.ts')],
]);

export const NOUN_SUMMARIES: Readonly<Record<string, string>> = {
  function: 'list, show and delete functions',
  version: 'publish, list and delete versions of a function',
  alias: 'name versions and split traffic between them',
  trigger: 'list, show, try, pause and resume what causes invocations',
  queue: 'make message queues, send and receive',
  bucket: 'make, list and delete buckets of the object store',
  object: 'store, fetch, list and delete objects',
  image: 'look at images and how they come to this machine',
  layer: 'list and publish layers',
  task: 'list, show and stop asynchronous invocations, fetch their results',
  'dead-letter': 'list, show, run again and remove asynchronous invocations that failed for good',
  invocation: 'look at what ran, and run it again',
};

/**
 * The command that the first words of the command line name; undefined when they name none (`--help`, a mistake, an
 * option in front).
 */
export function commandNameIn(argv: readonly string[]): string | undefined {
  const [first, second] = argv;
  if (first === undefined) return undefined;
  if (CATALOGUE.has(first)) return first;
  const pair = `${first} ${second ?? ''}`;
  return CATALOGUE.has(pair) ? pair : undefined;
}

export async function loadCommands(names: readonly string[]): Promise<Command[]> {
  const loaded = await Promise.all(names.map((name) => requireLoad(name)()));
  return loaded.map((module) => module.command);
}

function requireLoad(name: string): Load {
  const load = CATALOGUE.get(name);
  if (load === undefined) throw new Error(`no command is named ${name}`);
  return load;
}
