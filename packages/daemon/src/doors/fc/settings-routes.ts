import { putAsyncConfigInput } from '@thaw/protocol/fc/async-config.ts';
import { putConcurrencyInput } from '@thaw/protocol/fc/concurrency.ts';
import { qualifierQuery, settingsQuery } from '@thaw/protocol/fc/list-query.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import { configNotFound } from '../../catalog/settings.ts';
import type { FcDeps } from './fc-deps.ts';
import type { FcCall, FcRoute } from './fc-route.ts';
import { queryFields } from './query.ts';
import { asyncConfigBody, concurrencyBody, pageBody } from './wire.ts';

const BASE = '/functions/{functionName}';

/** What stands beside a function: kept settings, and those that this version does not have and says so. */
export function settingsRoutes({ catalog }: FcDeps): readonly FcRoute[] {
  const { functions, settings, place } = catalog;

  return [
    {
      method: 'PUT',
      path: `${BASE}/concurrency`,
      handle: (call) =>
        concurrencyBody(
          settings.putConcurrency(nameOf(call), parseFc(putConcurrencyInput, call.json)),
          place,
        ),
    },
    {
      method: 'GET',
      path: `${BASE}/concurrency`,
      handle: (call) => concurrencyBody(settings.requireConcurrency(nameOf(call)), place),
    },
    {
      method: 'DELETE',
      path: `${BASE}/concurrency`,
      handle: (call) => settings.deleteConcurrency(nameOf(call)),
    },
    {
      method: 'GET',
      path: '/concurrency-configs',
      handle: ({ query }) => {
        const request = parseFc(settingsQuery, queryFields(query));
        const page = settings.listConcurrency(request.functionName, request);
        return pageBody(
          'configs',
          page.items.map((config) => concurrencyBody(config, place)),
          page.nextToken,
        );
      },
    },
    {
      method: 'PUT',
      path: `${BASE}/async-invoke-config`,
      handle: (call) => {
        const input = parseFc(putAsyncConfigInput, call.json);
        return asyncConfigBody(settings.putAsyncConfig(nameOf(call), qualifierOf(call), input), place);
      },
    },
    {
      method: 'GET',
      path: `${BASE}/async-invoke-config`,
      handle: (call) => asyncConfigBody(settings.requireAsyncConfig(nameOf(call), qualifierOf(call)), place),
    },
    {
      method: 'DELETE',
      path: `${BASE}/async-invoke-config`,
      handle: (call) => settings.deleteAsyncConfig(nameOf(call), qualifierOf(call)),
    },
    {
      method: 'GET',
      path: '/async-invoke-configs',
      handle: ({ query }) => {
        const request = parseFc(settingsQuery, queryFields(query));
        const page = settings.listAsyncConfigs(request.functionName, request);
        return pageBody(
          'configs',
          page.items.map((config) => asyncConfigBody(config, place)),
          page.nextToken,
        );
      },
    },
    ...(['provision', 'scaling'] as const).flatMap((kind) => unsetSetting(kind)),
    { method: 'GET', path: '/provision-configs', handle: () => ({ provisionConfigs: [] }) },
    { method: 'GET', path: '/scaling-configs', handle: () => ({ scalingConfigs: [] }) },
    {
      method: 'GET',
      path: `${BASE}/vpc-bindings`,
      handle: (call) => {
        functions.require(nameOf(call));
        return { vpcIds: [] };
      },
    },
  ];

  /** A setting that this version cannot have: reading says that it is not set, deleting changes nothing. */
  function unsetSetting(kind: 'provision' | 'scaling'): readonly FcRoute[] {
    const path = `${BASE}/${kind}-config`;
    return [
      {
        method: 'GET',
        path,
        handle: (call) => {
          functions.require(nameOf(call));
          throw configNotFound(kind, nameOf(call));
        },
      },
      {
        method: 'PUT',
        path,
        handle: (call) => {
          functions.require(nameOf(call));
          throw new ThawError(
            'INVALID_ARGUMENT',
            `${kind} configurations are not supported by this version: instances start on demand`,
          );
        },
      },
      {
        method: 'DELETE',
        path,
        handle: (call) => {
          functions.require(nameOf(call));
          return undefined;
        },
      },
    ];
  }
}

function nameOf(call: FcCall): string {
  return call.params['functionName'] ?? '';
}

function qualifierOf(call: FcCall): string | undefined {
  return parseFc(qualifierQuery, queryFields(call.query)).qualifier;
}
