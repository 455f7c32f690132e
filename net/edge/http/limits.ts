/** A client that sends no byte, or no complete head of a request, in this time is disconnected. Browsers open connections before they use them. */
export const FIRST_BYTE_MS = 60_000;
export const HEAD_MS = 15_000;
/** Between requests of one connection. */
export const KEEP_ALIVE_MS = 75_000;
export const HANDSHAKE_MS = 10_000;
/** Bytes of all headers of a request or an answer: all ports of localhost share their cookies. */
export const MAX_HEADERS = 64 * 1024;
export const MAX_CONNECTIONS = 4096;
/** Of one machine to all others of its network. */
export const MAX_INSIDE_CONNECTIONS = 256;
export const MAX_STREAMS = 256;
/** An idle connection to a service is reused only within this time: a server that closes it earlier could lose a request. */
export const UPSTREAM_IDLE_MS = 1_000;
/** A service that accepts no connection in this time counts as silent. */
export const CONNECT_MS = 10_000;
/** Certificates in memory; one for each project and each other name. */
export const MAX_CERTIFICATES = 256;
/** Index pages and waiting pages that are open, each a connection with events. */
export const MAX_WATCHERS = 128;
