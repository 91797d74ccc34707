import { z } from 'zod';
import { allowed, description } from './fields.ts';

export const publishVersionInput = z.object(
  { description: description.default('') },
  { error: allowed('a JSON object') },
);
