/** S3's rule for names, but for dots: 3 to 63 lower-case letters, digits and hyphens, no hyphen at either end. */
export function isBucketName(text: string): boolean {
  return /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(text);
}
