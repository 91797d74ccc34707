import { parseFc } from '@thaw/protocol/fc/parse.ts';
import {
  listTagsQuery,
  tagResourcesInput,
  TAGS_PER_FUNCTION_MAX,
  untagResourcesQuery,
} from '@thaw/protocol/fc/tag.ts';
import { LIMITS } from '@thaw/protocol/limits.ts';
import { functionArn, functionNameOf } from '../../catalog/arn.ts';
import { pageOf } from '../../catalog/page.ts';
import type { FunctionRecord, Tag } from '../../model/function.ts';
import type { FcDeps } from './fc-deps.ts';
import type { FcRoute } from './fc-route.ts';
import { queryFields, withJsonFields } from './query.ts';

const PATH = '/tags-v2';

/** Tags of functions. Fields of this resource are spelled with capitals on the wire. */
export function tagRoutes({ catalog }: FcDeps): readonly FcRoute[] {
  const { functions } = catalog;
  return [
    {
      method: 'POST',
      path: PATH,
      handle: ({ json }) => {
        const input = parseFc(tagResourcesInput, json);
        return functions.tag(input.ResourceId.map(functionNameOf), input.Tag, TAGS_PER_FUNCTION_MAX);
      },
    },
    {
      method: 'DELETE',
      path: PATH,
      handle: ({ query }) => {
        const fields = withJsonFields(queryFields(query), ['ResourceId', 'TagKey', 'All']);
        const input = parseFc(untagResourcesQuery, fields);
        return functions.untag(input.ResourceId.map(functionNameOf), input.All ? 'all' : input.TagKey);
      },
    },
    {
      method: 'GET',
      path: PATH,
      handle: ({ query, request }) => {
        const fields = withJsonFields(queryFields(query), ['ResourceId', 'Tag', 'Limit']);
        const input = parseFc(listTagsQuery, fields);
        const records =
          input.ResourceId === undefined
            ? functions.list({ prefix: '', limit: Number.POSITIVE_INFINITY }).items
            : input.ResourceId.map((resource) => functions.require(functionNameOf(resource)));
        const entries = records
          .filter((record) => hasTags(record, input.Tag ?? []))
          .flatMap((record) =>
            record.tags.map((tag) => ({ functionName: record.latest.config.functionName, tag })),
          )
          .toSorted((left, right) => (entryKey(left) < entryKey(right) ? -1 : 1));
        const page = pageOf(entries, entryKey, {
          limit: input.Limit ?? LIMITS.listLimitDefault,
          nextToken: input.NextToken,
        });
        return {
          RequestId: request.requestId,
          ...(page.nextToken === undefined ? {} : { NextToken: page.nextToken }),
          TagResources: page.items.map(({ functionName, tag }) => ({
            ResourceType: 'function',
            ResourceId: functionArn(catalog.place, functionName),
            TagKey: tag.Key,
            TagValue: tag.Value,
          })),
        };
      },
    },
  ];
}

function entryKey(entry: { readonly functionName: string; readonly tag: Tag }): string {
  return `${entry.functionName}/${entry.tag.Key}`;
}

function hasTags(
  record: FunctionRecord,
  wanted: readonly { readonly Key: string; readonly Value?: string | undefined }[],
): boolean {
  return wanted.every(({ Key, Value }) =>
    record.tags.some((tag) => tag.Key === Key && (Value === undefined || tag.Value === Value)),
  );
}
