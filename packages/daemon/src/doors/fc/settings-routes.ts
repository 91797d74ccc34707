import { putAsyncConfigInput } from '@thaw/protocol/fc/async-config.ts';
import { putConcurrencyInput } from '@thaw/protocol/fc/concurrency.ts';
import { qualifierQuery, settingsQuery } from '@thaw/protocol/fc/list-query.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { putProvisionInput, putScalingInput } from '@thaw/protocol/fc/provision.ts';
import type { ProvisionConfig, ScalingConfig } from '../../catalog/settings.ts';
import type { FcDeps } from './fc-deps.ts';
import type { FcCall, FcRoute } from './fc-route.ts';
import { queryFields } from './query.ts';
import { asyncConfigBody, concurrencyBody, pageBody, provisionBody, scalingBody } from './wire.ts';

const BASE = '/functions/{functionName}';

/** What stands beside a function. */
export function settingsRoutes({ catalog, provisionStatus }: FcDeps): readonly FcRoute[] {
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
    {
      method: 'PUT',
      path: `${BASE}/provision-config`,
      handle: (call) => {
        const input = parseFc(putProvisionInput, call.json);
        return provision(settings.putProvision(nameOf(call), qualifierOf(call), input));
      },
    },
    {
      method: 'GET',
      path: `${BASE}/provision-config`,
      handle: (call) => provision(settings.requireProvision(nameOf(call), qualifierOf(call))),
    },
    {
      method: 'DELETE',
      path: `${BASE}/provision-config`,
      handle: (call) => settings.deleteProvision(nameOf(call), qualifierOf(call)),
    },
    {
      method: 'GET',
      path: '/provision-configs',
      handle: ({ query }) => {
        const request = parseFc(settingsQuery, queryFields(query));
        const page = settings.listProvisions(request.functionName, request);
        return pageBody('provisionConfigs', page.items.map(provision), page.nextToken);
      },
    },
    {
      method: 'PUT',
      path: `${BASE}/scaling-config`,
      handle: (call) => {
        const input = parseFc(putScalingInput, call.json);
        return scaling(settings.putScaling(nameOf(call), qualifierOf(call), input));
      },
    },
    {
      method: 'GET',
      path: `${BASE}/scaling-config`,
      handle: (call) => scaling(settings.requireScaling(nameOf(call), qualifierOf(call))),
    },
    {
      method: 'DELETE',
      path: `${BASE}/scaling-config`,
      handle: (call) => settings.deleteScaling(nameOf(call), qualifierOf(call)),
    },
    {
      method: 'GET',
      path: '/scaling-configs',
      handle: ({ query }) => {
        const request = parseFc(settingsQuery, queryFields(query));
        const page = settings.listScalings(request.functionName, request);
        return pageBody('scalingConfigs', page.items.map(scaling), page.nextToken);
      },
    },
    {
      method: 'GET',
      path: `${BASE}/vpc-bindings`,
      handle: (call) => {
        functions.require(nameOf(call));
        return { vpcIds: [] };
      },
    },
  ];

  function provision(config: ProvisionConfig): object {
    return provisionBody(config, provisionStatus(config.functionName, config.qualifier), place);
  }

  function scaling(config: ScalingConfig): object {
    return scalingBody(config, provisionStatus(config.functionName, config.qualifier), place);
  }
}

function nameOf(call: FcCall): string {
  return call.params['functionName'] ?? '';
}

function qualifierOf(call: FcCall): string | undefined {
  return parseFc(qualifierQuery, queryFields(call.query)).qualifier;
}
