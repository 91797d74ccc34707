import {
  createFunctionInput,
  disableInvocationInput,
  updateFunctionInput,
} from '@thaw/protocol/fc/function.ts';
import { listFunctionsQuery, qualifierQuery } from '@thaw/protocol/fc/list-query.ts';
import { parseFc } from '@thaw/protocol/fc/parse.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import type { FunctionRecord, FunctionVersion } from '../../model/function.ts';
import { codeUrl, withNewCode } from './code-routes.ts';
import type { FcDeps } from './fc-deps.ts';
import type { FcCall, FcRoute } from './fc-route.ts';
import { queryFields, withJsonFields } from './query.ts';
import { functionBody, pageBody } from './wire.ts';

const BASE = '/functions/{functionName}';
const bodyBytesMax = LIMITS.codeUploadBodyBytesMax;

export function functionRoutes(deps: FcDeps): readonly FcRoute[] {
  const { catalog } = deps;
  const { functions, versions, layers } = catalog;

  const bodyOf = (record: FunctionRecord, version: FunctionVersion = record.latest): object =>
    functionBody(record, version, catalog.place, (arn) => layers.sizeOf(arn), deps.imageState);

  return [
    {
      method: 'POST',
      path: '/functions',
      bodyBytesMax,
      handle: async ({ json }) => {
        const input = parseFc(createFunctionInput, json);
        if (input.code === undefined) return bodyOf(await functions.create(input, undefined));
        return bodyOf(await withNewCode(deps, input.code, (code) => functions.create(input, code)));
      },
    },
    {
      method: 'GET',
      path: '/functions',
      handle: ({ query }) => {
        const filter = parseFc(listFunctionsQuery, withJsonFields(queryFields(query), ['tags']));
        const page = functions.list({ ...filter, matches: (record) => isListed(record, filter) });
        return pageBody(
          'functions',
          page.items.map((record) => bodyOf(record)),
          page.nextToken,
        );
      },
    },
    {
      method: 'GET',
      path: BASE,
      handle: (call) => {
        const version = versions.require(nameOf(call), qualifierOf(call));
        return bodyOf(functions.require(nameOf(call)), version);
      },
    },
    {
      method: 'PUT',
      path: BASE,
      bodyBytesMax,
      handle: async (call) => {
        const input = parseFc(updateFunctionInput, call.json);
        const name = nameOf(call);
        // Before the code is looked at: a missing function is the better answer than a missing upload.
        functions.require(name);
        if (input.code === undefined) return bodyOf(await functions.update(name, input, undefined));
        return bodyOf(await withNewCode(deps, input.code, (code) => functions.update(name, input, code)));
      },
    },
    {
      method: 'DELETE',
      path: BASE,
      handle: (call) => functions.delete(nameOf(call)),
    },
    {
      method: 'GET',
      path: `${BASE}/code`,
      handle: (call) => {
        const { code } = versions.require(nameOf(call), qualifierOf(call));
        return { url: codeUrl(deps, call.request, code), checksum: code.checksum };
      },
    },
    {
      method: 'POST',
      path: `${BASE}/invoke/disable`,
      handle: (call) => {
        const input = parseFc(disableInvocationInput, call.json);
        functions.disable(nameOf(call), input.reason);
        if (input.abortOngoingRequest) deps.abortInvocations(nameOf(call));
        return { success: true };
      },
    },
    {
      method: 'POST',
      path: `${BASE}/invoke/enable`,
      handle: (call) => {
        functions.enable(nameOf(call));
        return { success: true };
      },
    },
  ];
}

type ListFilter = ReturnType<typeof listFunctionsQuery.parse>;

function isListed(record: FunctionRecord, filter: ListFilter): boolean {
  const { config } = record.latest;
  if (filter.runtime !== undefined && config.runtime !== filter.runtime) return false;
  if (filter.functionName !== undefined && !config.functionName.includes(filter.functionName)) return false;
  if (filter.description !== undefined && !config.description.includes(filter.description)) return false;
  if (
    filter.resourceGroupId !== undefined &&
    config.passthrough['resourceGroupId'] !== filter.resourceGroupId
  ) {
    return false;
  }
  // No function here has a GPU.
  if (filter.gpuType !== undefined) return false;
  return (filter.tags ?? []).every((wanted) =>
    record.tags.some((tag) => tag.Key === wanted.Key && (wanted.Value === '' || tag.Value === wanted.Value)),
  );
}

function nameOf(call: FcCall): string {
  return call.params['functionName'] ?? '';
}

function qualifierOf(call: FcCall): string | undefined {
  return parseFc(qualifierQuery, queryFields(call.query)).qualifier;
}
