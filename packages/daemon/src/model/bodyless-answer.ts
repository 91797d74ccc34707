/** Whether HTTP has no body for this answer, whatever its headers say (RFC 9112, section 6.3). */
export function isBodylessAnswer(method: string | undefined, status: number | undefined): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}
