/** A client that sends no byte, or no whole head of a request, for so long is let go. Browsers open connections ahead and use them later. */
export const FIRST_BYTE_MS = 60_000;
export const HEAD_MS = 15_000;
/** Between requests of one connection. */
export const KEEP_ALIVE_MS = 75_000;
export const HANDSHAKE_MS = 10_000;
/** Bytes of all headers of a request or an answer: cookies of localhost are those of all ports together. */
export const MAX_HEADERS = 64 * 1024;
export const MAX_CONNECTIONS = 4096;
export const MAX_STREAMS = 256;
/** An idle connection to a service is used again only for so long: servers that close early would take a request with them. */
export const UPSTREAM_IDLE_MS = 1_000;
/** A service that accepts no connection for so long does not answer. */
export const CONNECT_MS = 10_000;
/** Certificates in memory; one for each project and each other name. */
export const MAX_CERTIFICATES = 256;
/** Index pages and waiting pages that are open, each a connection with events. */
export const MAX_WATCHERS = 128;
