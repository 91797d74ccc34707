import { apiPath, type Client } from './client.ts';
import { listAll } from './pages.ts';
import type { AliasAnswer, FunctionAnswer, TriggerAnswer, VersionAnswer } from './wire.ts';

/**
 * Deletes a function and all that hangs on it, in the order that the API demands: what refers to a thing goes before
 * it. Answers false when there was no such function.
 */
export async function deleteFunction(client: Client, functionName: string): Promise<boolean> {
  const path = apiPath('functions', functionName);
  if ((await client.find<FunctionAnswer>({ method: 'GET', path })) === undefined) return false;
  for (const { triggerName } of await listAll<TriggerAnswer>(client, `${path}/triggers`, 'triggers')) {
    await client.send({
      method: 'DELETE',
      path: apiPath('functions', functionName, 'triggers', triggerName),
    });
  }
  for (const { aliasName } of await listAll<AliasAnswer>(client, `${path}/aliases`, 'aliases')) {
    await client.send({ method: 'DELETE', path: apiPath('functions', functionName, 'aliases', aliasName) });
  }
  for (const { versionId } of await listAll<VersionAnswer>(client, `${path}/versions`, 'versions')) {
    if (!/^\d+$/.test(versionId)) continue;
    await client.send({ method: 'DELETE', path: apiPath('functions', functionName, 'versions', versionId) });
  }
  await client.send({ method: 'DELETE', path });
  return true;
}
