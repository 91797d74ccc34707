import { readFileSync } from 'node:fs';
import { ThawError } from '@thaw/protocol/thaw-error.ts';
import * as z from 'zod';
import { repositoryOf, type CopiesOptions } from './layer-copies.ts';

const FILE = z.strictObject({
  repository: z.string().min(1).max(512),
  userName: z.string().optional(),
  password: z.string().optional(),
  /** PEM of a certificate authority. */
  rootCertificate: z.string().optional(),
  push: z.boolean().default(true),
});

/**
 * Where machines leave converted layers for each other: `{"repository": "registry.internal/thaw/copies", "userName": "...",
 * "password": "...", "push": true}`. Throws INVALID_ARGUMENT.
 */
export function readCopiesFile(path: string): CopiesOptions {
  let given: unknown;
  try {
    given = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new ThawError('INVALID_ARGUMENT', `the copies file ${path} cannot be read`, { cause });
  }
  const parsed = FILE.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.join('.') ?? '';
    throw new ThawError(
      'INVALID_ARGUMENT',
      `the copies file ${path}: ${where} ${issue?.message ?? 'is wrong'}`,
    );
  }
  const { repository, push, userName, password, rootCertificate } = parsed.data;
  repositoryOf(repository);
  const setting = {
    ...(userName === undefined ? {} : { userName }),
    ...(password === undefined ? {} : { password }),
    ...(rootCertificate === undefined ? {} : { rootCertificate }),
  };
  return { repository, setting, pushes: push };
}
