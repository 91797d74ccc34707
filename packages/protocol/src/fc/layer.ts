import { z } from 'zod';
import { codeLocation } from './code.ts';
import { allowed, description, requiredText, text } from './fields.ts';

export const createLayerVersionInput = z.object(
  {
    code: codeLocation,
    compatibleRuntime: z
      .array(requiredText(64), { error: allowed('a list of runtime names') })
      .max(30, { error: 'must hold at most 30 runtimes' })
      .default([]),
    description: description.default(''),
    license: text(256).default(''),
  },
  { error: allowed('a JSON object') },
);
export type CreateLayerVersionInput = z.infer<typeof createLayerVersionInput>;
