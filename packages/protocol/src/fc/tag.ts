import { z } from 'zod';
import { allowed, oneOf, requiredText, text, wholeNumber } from './fields.ts';

export const TAGS_PER_FUNCTION_MAX = 20;
export const RESOURCES_PER_TAG_CALL_MAX = 50;

/** The wire spells `Key` and `Value`; older tools send lower case, and both are read. */
export const tag = z.preprocess(
  (value) => {
    if (typeof value !== 'object' || value === null || !('key' in value) || 'Key' in value) return value;
    return { Key: value.key, Value: 'value' in value ? value.value : undefined };
  },
  z.object(
    { Key: requiredText(128), Value: text(128).default('') },
    { error: allowed('an object with Key and Value') },
  ),
);

export const tags = z
  .array(tag, { error: allowed('a list of {Key, Value}') })
  .max(TAGS_PER_FUNCTION_MAX, { error: `must hold at most ${TAGS_PER_FUNCTION_MAX} tags` })
  .refine((list) => new Set(list.map((each) => each.Key)).size === list.length, {
    error: 'must not name a key twice',
  });

const resourceType = oneOf(['function', 'ALIYUN::FC::FUNCTION', 'ALIYUN::FC:FUNCTION']);

const resourceIds = z
  .array(requiredText(256), { error: allowed('a list of function ARNs or names') })
  .min(1, { error: 'must name a function at least' })
  .max(RESOURCES_PER_TAG_CALL_MAX, { error: `must hold at most ${RESOURCES_PER_TAG_CALL_MAX} functions` });

export const tagResourcesInput = z.object(
  { ResourceType: resourceType, ResourceId: resourceIds, Tag: tags.min(1, { error: 'must hold a tag' }) },
  { error: allowed('an object') },
);

export const untagResourcesQuery = z.object({
  ResourceType: resourceType,
  ResourceId: resourceIds,
  TagKey: z.array(requiredText(128), { error: allowed('a list of keys') }).default([]),
  All: z.boolean().default(false),
});

/** `Tag` selects: functions that have every key, and the value too where one is given. */
export const listTagsQuery = z.object({
  ResourceType: resourceType,
  ResourceId: resourceIds.optional(),
  Tag: z
    .array(z.object({ Key: requiredText(128), Value: text(128).optional() }), {
      error: allowed('a list of {Key, Value}'),
    })
    .optional(),
  Limit: wholeNumber(1, 100, 'entries').optional(),
  NextToken: text(1024).optional(),
});
