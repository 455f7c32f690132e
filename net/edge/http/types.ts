import type { Readable } from 'node:stream';
import type { RawHeaders } from '../../http/end-to-end.ts';
import type { NameDirectory } from '../../names/directory.ts';

export interface EdgeOptions {
  readonly directory: NameDirectory;
  /** The domain of all names, such as `hypr`. */
  readonly domain: string;
  /** Where to listen. The first must succeed; the others are left out where they cannot be had. Port 0 is any free one. */
  readonly listen: ReadonlyArray<{ readonly address: string; readonly port: number; readonly optional?: boolean }>;
  /** Without it TLS is refused. */
  readonly issuer?: LeafIssuer;
  /** Last lines of the programs of a stack, for the index page. */
  readonly logs?: LogSource;
  readonly onEvent?: (event: EdgeEvent) => void;
  /** How long a client may take for its first byte, and for the head of a request; for tests. */
  readonly headMs?: number;
  /** How long a connection of HTTP/2 may be without requests; for tests. */
  readonly idleMs?: number;
}

export interface LeafIssuer {
  /** Identifies the authority that issues now; undefined when there is none. Asked at each handshake. */
  version(): string | undefined;
  /** A certificate for these names, PEM. */
  issue(names: readonly string[]): Promise<{ cert: string; key: string }>;
}

export interface LogSource {
  /** The last lines of each of these stacks, by time; guests wrote them. */
  recent(
    stacks: readonly string[],
  ): Promise<ReadonlyArray<{ readonly stack: string; readonly replica: string; readonly time: number; readonly line: string }>>;
  /** Calls back when there are new lines; the returned function ends that. */
  onChange(listener: () => void): () => void;
}

/** A dev server refused the name under which it was reached, and what to set. */
export interface EdgeEvent {
  readonly type: 'host-refused';
  readonly stack: string;
  readonly service: string;
  readonly host: string;
  /** Which program refused: `Vite`. */
  readonly program: string;
  /** The setting, as it stands in that program's file. */
  readonly setting: string;
}

export interface Edge {
  /** Where it listens. */
  readonly addresses: ReadonlyArray<{ readonly address: string; readonly port: number }>;
  /** Ends everything at once, open connections too. */
  close(): Promise<void>;
}

/** One request and the way back to its client, whether over HTTP/1.1 or HTTP/2. */
export interface Exchange {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly path: string;
  /** Host and port that the client asked for, as it wrote them. */
  readonly authority: string;
  /** End-to-end headers only; no `host`, none of HTTP/2's own. */
  readonly headers: RawHeaders;
  /** Undefined for a request without one. */
  readonly body: Readable | undefined;
  /** The client waits to be told before it sends the body. */
  readonly expects: boolean;
  readonly secure: boolean;
  /** The client asked for `http://name/path`, as one asks a proxy. */
  readonly viaProxy: boolean;
  readonly version: '1.1' | '2';
  /** The address of the machine that asks; absent for programs of this host. */
  readonly from?: string;
  /** The two ends of the connection; a function, because asking the system takes time. */
  peer(): Peer;
  readonly reply: Reply;
}

/** The two ends of a loopback connection: the client's and ours. */
export interface Peer {
  readonly address: string | undefined;
  readonly port: number | undefined;
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
}

/** The answer on its way to the client. */
export interface Reply {
  /** Status and headers; `ends` if no body and no trailers follow. Called once. */
  head(status: number, text: string, headers: RawHeaders, ends?: boolean): void;
  /** An answer that is not the last one: 102, 103. */
  interim(status: number, headers: RawHeaders): void;
  /** False when the client is slower: go on after `onDrain`. */
  write(chunk: Uint8Array): boolean;
  end(trailers?: RawHeaders): void;
  onDrain(listener: () => void): void;
  /** The client left before the answer's end. */
  onAbort(listener: () => void): void;
  readonly hasHead: boolean;
  /** Breaks the connection (HTTP/1.1) or the stream: the rest of the answer will not come. */
  abort(): void;
}
