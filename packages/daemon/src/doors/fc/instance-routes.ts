import { instancesQuery } from '@thaw/protocol/fc/list-query.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import type { FcDeps } from './fc-deps.ts';
import type { FcRoute } from './fc-route.ts';
import { queryFields, withJsonFields } from './query.ts';

const RESOURCE_TYPE = 'onDemand';

export function instanceRoutes({ catalog, listInstances }: FcDeps): readonly FcRoute[] {
  return [
    {
      method: 'GET',
      path: '/functions/{functionName}/instances',
      handle: ({ params, query, request }) => {
        const functionName = params['functionName'] ?? '';
        const wanted = parseFc(
          instancesQuery,
          withJsonFields(queryFields(query), ['instanceIds', 'instanceStatus']),
        );
        const versionId = catalog.versions.require(functionName, wanted.qualifier).versionId;
        const instances = listInstances(functionName)
          .filter(
            (instance) =>
              (wanted.qualifier === undefined ||
                instance.qualifier === wanted.qualifier ||
                instance.versionId === versionId) &&
              (wanted.instanceIds?.includes(instance.instanceId) ?? true) &&
              (wanted.instanceStatus?.includes(instance.status) ?? true),
          )
          .slice(0, wanted.limit)
          .map((instance) => ({ ...instance, resourceType: RESOURCE_TYPE }));
        return { instances, requestId: request.requestId };
      },
    },
  ];
}
