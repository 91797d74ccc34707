import { z } from 'zod';
import { allowed, requiredText, text } from './fields.ts';

/**
 * Where the code of a function or layer comes from: a base64 zip in the request, or an object that was uploaded with
 * the credentials of `tempBucketToken`. An empty text counts as not given.
 */
export const codeLocation = z
  .object(
    {
      zipFile: z.string({ error: allowed('a zip as base64 text') }).optional(),
      ossBucketName: text(256).optional(),
      ossObjectName: text(1024).optional(),
      /** Decimal CRC-64 that the zip must have. */
      checksum: requiredText(20).optional(),
    },
    { error: allowed('an object with zipFile, or with ossBucketName and ossObjectName') },
  )
  .refine((code) => (code.zipFile ?? '') !== '' || (code.ossObjectName ?? '') !== '', {
    error: 'must hold zipFile (a zip as base64), or ossBucketName and ossObjectName of an uploaded zip',
  });

export type CodeLocation = z.infer<typeof codeLocation>;
