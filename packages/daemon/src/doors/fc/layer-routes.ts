import { layerName } from '@thaw/protocol/fc/fields.ts';
import { createLayerVersionInput } from '@thaw/protocol/fc/layer.ts';
import { layerVersionsQuery, pageQuery } from '@thaw/protocol/fc/list-query.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import type { Layer } from '../../model/function.ts';
import { codeUrl, withNewCode } from './code-routes.ts';
import type { ControlRequest } from './control-request.ts';
import type { FcDeps } from './fc-deps.ts';
import type { FcRoute } from './fc-route.ts';
import { queryFields } from './query.ts';
import { layerBody, pageBody } from './wire.ts';

const VERSIONS = '/layers/{layerName}/versions';

export function layerRoutes(deps: FcDeps): readonly FcRoute[] {
  const { catalog } = deps;
  const { layers } = catalog;
  const bodyOf = (layer: Layer, request: ControlRequest): object =>
    layerBody(layer, catalog.place, (code) => codeUrl(deps, request, code));
  return [
    {
      method: 'POST',
      path: VERSIONS,
      bodyBytesMax: LIMITS.codeUploadBodyBytesMax,
      handle: async ({ params, json, request }) => {
        const name = requireLayerName(params['layerName'] ?? '');
        const input = parseFc(createLayerVersionInput, json);
        const layer = await withNewCode(deps, input.code, (code) => layers.publish(name, input, code));
        return bodyOf(layer, request);
      },
    },
    {
      method: 'GET',
      path: '/layers',
      handle: ({ query, request }) => {
        const wanted = parseFc(pageQuery, queryFields(query));
        // There are no official layers here.
        if (query.get('official') === 'true') return { layers: [] };
        const page = layers.list(wanted.prefix, query.get('public') === 'true', wanted);
        return pageBody(
          'layers',
          page.items.map((layer) => bodyOf(layer, request)),
          page.nextToken,
        );
      },
    },
    {
      method: 'GET',
      path: VERSIONS,
      handle: ({ params, query, request }) => {
        const { startVersion = 1, limit } = parseFc(layerVersionsQuery, queryFields(query));
        const page = layers.listVersions(params['layerName'] ?? '', startVersion, limit);
        return { ...page, layers: page.layers.map((layer) => bodyOf(layer, request)) };
      },
    },
    {
      method: 'GET',
      path: `${VERSIONS}/{version}`,
      handle: ({ params, request }) =>
        bodyOf(layers.require(params['layerName'] ?? '', requireNumber(params['version'] ?? '')), request),
    },
    {
      method: 'DELETE',
      path: `${VERSIONS}/{version}`,
      handle: ({ params }) =>
        layers.delete(params['layerName'] ?? '', requireNumber(params['version'] ?? '')),
    },
    {
      method: 'GET',
      path: '/layerarn/{arn}',
      handle: ({ params, request }) => bodyOf(layers.requireByArn(params['arn'] ?? ''), request),
    },
    {
      method: 'PUT',
      path: '/layers/{layerName}/acl',
      handle: ({ params, query }) => {
        const isPublic = query.get('public') === 'true' || query.get('acl') === '1';
        return layers.setPublic(params['layerName'] ?? '', isPublic);
      },
    },
  ];
}

function requireLayerName(name: string): string {
  const parsed = layerName.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new ThawError('INVALID_ARGUMENT', `layerName ${parsed.error.issues[0]?.message ?? 'is not valid'}`, {
    details: { field: 'layerName' },
  });
}

function requireNumber(version: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(version)) return Number(version);
  throw new ThawError('INVALID_ARGUMENT', 'the version of a layer must be a whole number from 1', {
    details: { field: 'version' },
  });
}
