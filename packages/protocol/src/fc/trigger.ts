import { z } from 'zod';
import {
  allowed,
  description,
  flag,
  oneOf,
  qualifier,
  requiredText,
  text,
  triggerName,
  wholeNumber,
} from './fields.ts';

export const TRIGGER_CONFIG_CHARACTERS_MAX = 8192;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const;

/** Kept as the client wrote it: a JSON *text* inside the JSON body. */
const triggerConfig = text(TRIGGER_CONFIG_CHARACTERS_MAX);

export const createTriggerInput = z.object(
  {
    triggerName,
    triggerType: requiredText(64),
    triggerConfig: triggerConfig.default('{}'),
    qualifier: qualifier.default('LATEST'),
    description: description.default(''),
    invocationRole: text(256).default(''),
    sourceArn: text(512).default(''),
  },
  { error: allowed('a JSON object') },
);
export type CreateTriggerInput = z.infer<typeof createTriggerInput>;

export const updateTriggerInput = z.object(
  {
    triggerConfig: triggerConfig.optional(),
    qualifier: qualifier.optional(),
    description: description.optional(),
    invocationRole: text(256).optional(),
  },
  { error: allowed('a JSON object') },
);
export type UpdateTriggerInput = z.infer<typeof updateTriggerInput>;

const texts = z.array(requiredText(256), { error: allowed('a list of texts') }).max(100, {
  error: 'must hold at most 100 entries',
});

const corsConfig = z.object(
  {
    allowOrigins: texts.default([]),
    allowMethods: texts.default([]),
    allowHeaders: texts.default([]),
    exposeHeaders: texts.default([]),
    allowCredentials: flag().default(false),
    maxAge: wholeNumber(0, 86_400, 'seconds').default(0),
  },
  { error: allowed('an object') },
);

/** What `triggerConfig` of an HTTP trigger says. */
export const httpTriggerConfig = z.object(
  {
    authType: oneOf(['anonymous', 'function']).default('anonymous'),
    methods: z
      .array(
        z.preprocess(
          (method) => (typeof method === 'string' ? method.toUpperCase() : method),
          oneOf(METHODS),
        ),
        {
          error: allowed(`a list of ${METHODS.join(', ')}`),
        },
      )
      .min(1, { error: 'must hold a method at least' })
      .default(['GET', 'HEAD', 'POST', 'PUT', 'DELETE']),
    disableURLInternet: flag().default(false),
    corsConfig: corsConfig.optional(),
  },
  { error: allowed('the text of a JSON object') },
);
