/** What a server sent is not an HTTP/1.1 answer that can be passed on. Unlike a lost connection it is the server's mistake. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
}
