import { createAliasInput, updateAliasInput } from '@thaw/protocol/fc/alias.ts';
import { listVersionsQuery, pageQuery } from '@thaw/protocol/fc/list-query.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { publishVersionInput } from '@thaw/protocol/fc/version.ts';
import type { FcDeps } from './fc-deps.ts';
import type { FcRoute } from './fc-route.ts';
import { queryFields } from './query.ts';
import { aliasBody, pageBody, versionBody } from './wire.ts';

const VERSIONS = '/functions/{functionName}/versions';
const ALIASES = '/functions/{functionName}/aliases';

/** Versions and the aliases that lead to them. */
export function versionRoutes({ catalog }: FcDeps): readonly FcRoute[] {
  const { versions, aliases } = catalog;
  return [
    {
      method: 'POST',
      path: VERSIONS,
      handle: ({ params, json }) =>
        versionBody(
          versions.publish(params['functionName'] ?? '', parseFc(publishVersionInput, json).description),
        ),
    },
    {
      method: 'GET',
      path: VERSIONS,
      handle: ({ params, query }) => {
        const request = parseFc(listVersionsQuery, queryFields(query));
        const page = versions.list(params['functionName'] ?? '', request);
        return {
          ...pageBody('versions', page.items.map(versionBody), page.nextToken),
          direction: request.direction,
        };
      },
    },
    {
      method: 'DELETE',
      path: `${VERSIONS}/{versionId}`,
      handle: ({ params }) => versions.delete(params['functionName'] ?? '', params['versionId'] ?? ''),
    },
    {
      method: 'POST',
      path: ALIASES,
      handle: ({ params, json }) =>
        aliasBody(aliases.create(params['functionName'] ?? '', parseFc(createAliasInput, json))),
    },
    {
      method: 'GET',
      path: ALIASES,
      handle: ({ params, query }) => {
        const request = parseFc(pageQuery, queryFields(query));
        const page = aliases.list(params['functionName'] ?? '', request.prefix, request);
        return pageBody('aliases', page.items.map(aliasBody), page.nextToken);
      },
    },
    {
      method: 'GET',
      path: `${ALIASES}/{aliasName}`,
      handle: ({ params }) =>
        aliasBody(aliases.require(params['functionName'] ?? '', params['aliasName'] ?? '')),
    },
    {
      method: 'PUT',
      path: `${ALIASES}/{aliasName}`,
      handle: ({ params, json }) =>
        aliasBody(
          aliases.update(
            params['functionName'] ?? '',
            params['aliasName'] ?? '',
            parseFc(updateAliasInput, json),
          ),
        ),
    },
    {
      method: 'DELETE',
      path: `${ALIASES}/{aliasName}`,
      handle: ({ params }) => aliases.delete(params['functionName'] ?? '', params['aliasName'] ?? ''),
    },
  ];
}
