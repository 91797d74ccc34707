/** How requests of one session find their way to one instance, as a function asks for it. */
export interface SessionAffinity {
  /** `header`: the client names its session in a header, or is given a name there. `cookie`: it is given a cookie. */
  readonly kind: 'header' | 'cookie';
  /** In lower case: of the header or the cookie. */
  readonly name: string;
  /** Sessions that one instance holds at most. */
  readonly sessionsPerInstance: number;
  /** From a session's first request on. */
  readonly ttlMs: number;
  /** Without a request of the session. */
  readonly idleMs: number;
}
