import { apiPath, type Client } from '../api/client.ts';
import type { FunctionAnswer } from '../api/wire.ts';
import type { Resource } from '../s-yaml/resource.ts';
import { type Change, tagMap } from './config-diff.ts';

/** Makes the function's tags those of the file. A file without `tags` leaves them alone. */
export async function deployTags(
  client: Client,
  resource: Resource,
  actual: FunctionAnswer,
): Promise<Change[]> {
  if (resource.props.tags === undefined) return [];
  const wanted = tagMap(resource.props.tags);
  const current = tagMap(actual.tags ?? []);
  const set = [...wanted].filter(([key, value]) => current.get(key) !== value);
  const removed = [...current.keys()].filter((key) => !wanted.has(key));
  const target = { ResourceType: 'function', ResourceId: [actual.functionArn ?? actual.functionName] };
  if (set.length > 0) {
    await client.send({
      method: 'POST',
      path: apiPath('tags-v2'),
      json: { ...target, Tag: set.map(([Key, Value]) => ({ Key, Value })) },
    });
  }
  if (removed.length > 0) {
    await client.send({
      method: 'DELETE',
      path: apiPath('tags-v2'),
      // Lists in a query travel as JSON texts.
      query: {
        ResourceType: target.ResourceType,
        ResourceId: JSON.stringify(target.ResourceId),
        TagKey: JSON.stringify(removed),
      },
    });
  }
  return [
    ...set.map(([key, value]) => ({ field: `tags.${key}`, from: current.get(key), to: value })),
    ...removed.map((key) => ({ field: `tags.${key}`, from: current.get(key), to: undefined })),
  ];
}
