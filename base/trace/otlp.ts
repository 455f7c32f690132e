/** Where spans are sent, and as what; https://opentelemetry.io/docs/specs/otel/protocol/exporter/ names the variables. */
export interface OtlpTarget {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly resource: Readonly<Record<string, string>>;
}

/** Its place in a trace: 32 and 16 hexadecimal digits. */
export interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
}

export interface Span extends SpanContext {
  readonly parent: SpanContext | undefined;
  readonly name: string;
  readonly lane: string;
  readonly kind: 'internal' | 'server';
  /** Microseconds since 1970. */
  readonly begin: number;
  readonly end: number;
  /** Code or class of the error with which it ended. */
  readonly error: string | undefined;
}

/** What a collector has not taken yet; more is dropped. */
const MOST_SPANS = 4096;
const BATCH = 512;
const PAUSE_MS = 1000;
const DEFAULT_TIMEOUT_MS = 10_000;
/** What a timer can wait. */
const LONGEST_MS = 2 ** 31 - 1;

/** What the environment asks for; undefined: nothing is sent. `problem`: why nothing can be. */
export const otlpTarget = (env: NodeJS.ProcessEnv): { readonly target?: OtlpTarget; readonly problem?: string } | undefined => {
  if (!isOn(env.HYPR_OTLP_ENABLED) || isOn(env.OTEL_SDK_DISABLED) || env.OTEL_TRACES_EXPORTER === 'none') {
    return undefined;
  }
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL;
  if (protocol === 'grpc') {
    return { problem: 'OTEL_EXPORTER_OTLP_PROTOCOL is grpc; hypr speaks OTLP over HTTP alone (http/json, port 4318 of most collectors)' };
  }
  const address = addressOf(env);
  if (address === undefined) {
    const variable = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ? 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT' : 'OTEL_EXPORTER_OTLP_ENDPOINT';
    return { problem: `${variable} is no address of a collector; such as OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318` };
  }
  const variable = env.OTEL_EXPORTER_OTLP_TRACES_HEADERS ? 'OTEL_EXPORTER_OTLP_TRACES_HEADERS' : 'OTEL_EXPORTER_OTLP_HEADERS';
  const headers = pairs(env[variable]);
  if (!areHeaders(headers)) {
    return { problem: `${variable} has a name or a value that no HTTP header can have; such as ${variable}=x-key=abc,other=1` };
  }
  const timeout = Number(env.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT || env.OTEL_EXPORTER_OTLP_TIMEOUT);
  return {
    target: {
      ...withoutUser(address, headers),
      timeoutMs: timeout > 0 ? timeout : DEFAULT_TIMEOUT_MS,
      resource: { 'service.name': 'hypr', ...pairs(env.OTEL_RESOURCE_ATTRIBUTES), ...named(env.OTEL_SERVICE_NAME) },
    },
  };
};

/** Undefined: it is none. */
const addressOf = (env: NodeJS.ProcessEnv): URL | undefined => {
  const own = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  const url = URL.parse(own || env.OTEL_EXPORTER_OTLP_ENDPOINT || 'http://localhost:4318') ?? undefined;
  if (url !== undefined && !own) {
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`;
  }
  return /^https?:$/.test(url?.protocol ?? '') ? url : undefined;
};

const areHeaders = (headers: Readonly<Record<string, string>>): boolean => {
  try {
    return new Headers(headers) !== undefined;
  } catch {
    // Its message has the value, which may be a key.
    return false;
  }
};

/** A user and a password as a header, because fetch takes no address with them. */
const withoutUser = (address: URL, headers: Readonly<Record<string, string>>): Pick<OtlpTarget, 'url' | 'headers'> => {
  const { username, password } = address;
  const url = new URL(address);
  url.username = '';
  url.password = '';
  if ((username === '' && password === '') || new Headers(headers).has('authorization')) {
    return { url: url.href, headers };
  }
  const basic = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64');
  return { url: url.href, headers: { ...headers, authorization: `Basic ${basic}` } };
};

const isOn = (value = ''): boolean => value !== '' && !/^(0|false|off|no)$/i.test(value);

const named = (name: string | undefined): Record<string, string> => (name ? { 'service.name': name } : {});

/** `a=b,c=d`, each encoded as in a URL. */
const pairs = (text = ''): Record<string, string> =>
  Object.fromEntries(
    text.split(',').flatMap((pair) => {
      const equals = pair.indexOf('=');
      return equals < 1 ? [] : [[decoded(pair.slice(0, equals).trim()), decoded(pair.slice(equals + 1).trim())]];
    }),
  );

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** A place below `parent`, or at the top of a trace of its own. */
export const newContext = (parent?: SpanContext): SpanContext => ({ traceId: parent?.traceId ?? hex(16), spanId: hex(8) });

/** Web Crypto's, because node:crypto would be loaded by every command. */
const hex = (bytes: number): string => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');

/** W3C Trace Context's `traceparent`, of a variable or a header; undefined: there is none, or it is none. */
export const readTraceParent = (text: string | undefined): SpanContext | undefined => {
  const [, traceId = '', spanId = ''] = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-|$)/.exec(text ?? '') ?? [];
  return /[1-9a-f]/.test(traceId) && /[1-9a-f]/.test(spanId) ? { traceId, spanId } : undefined;
};

export const writeTraceParent = ({ traceId, spanId }: SpanContext): string => `00-${traceId}-${spanId}-01`;

/** Sends spans to a collector: OTLP over HTTP, as JSON. Nothing of it keeps a process alive but `flush`. */
export class OtlpExporter {
  readonly #target: OtlpTarget;
  readonly #onProblem: (problem: string) => void;
  /** The address as it may be told: a query may be a key. */
  readonly #place: string;
  #spans: Span[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();
  /** Gives up what is sent now and what waits behind it. */
  #stop = new AbortController();

  constructor(target: OtlpTarget, onProblem: (problem: string) => void) {
    this.#target = target;
    this.#onProblem = onProblem;
    const { origin, pathname } = new URL(target.url);
    this.#place = `${origin}${pathname}`;
  }

  add(span: Span): void {
    if (this.#spans.length < MOST_SPANS) {
      this.#spans.push(span);
    }
    this.#timer ??= setTimeout(() => void this.flush(), PAUSE_MS).unref();
  }

  /**
   * Sends what there is. A collector that does not take it costs the spans, never more than `withinMs`, also where it is silent about what was
   * sent before. Never rejects.
   */
  async flush(withinMs = this.#target.timeoutMs): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const stop = this.#stop;
    const giveUp = (): void => {
      stop.abort(new DOMException('the collector is silent', 'TimeoutError'));
      if (this.#stop === stop) {
        this.#stop = new AbortController();
      }
    };
    const limit = setTimeout(giveUp, Math.min(withinMs, this.#target.timeoutMs, LONGEST_MS)).unref();
    this.#sending = this.#sending.then(() => this.#sendAll(stop.signal));
    await this.#sending.finally(() => clearTimeout(limit));
  }

  async #sendAll(signal: AbortSignal): Promise<void> {
    while (this.#spans.length > 0 && !signal.aborted) {
      await this.#send(this.#spans.splice(0, BATCH), signal);
    }
  }

  async #send(spans: readonly Span[], signal: AbortSignal): Promise<void> {
    const { url, headers, resource } = this.#target;
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(requestOf(spans, { ...resource, 'process.pid': process.pid })),
        // Headers have keys, which are for this address alone.
        redirect: 'error',
        signal,
      });
      await response.body?.cancel();
      if (!response.ok) {
        this.#onProblem(`${this.#place} answered ${response.status}`);
      }
    } catch (error) {
      // Messages may have headers or the whole address in them.
      const { name, cause } = error as Error & { cause?: { code?: string } };
      this.#onProblem(`${this.#place}: ${cause?.code ?? name}`);
    }
  }
}

/** An ExportTraceServiceRequest (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). */
const requestOf = (spans: readonly Span[], resource: Readonly<Record<string, string | number>>): object => ({
  resourceSpans: [
    {
      resource: { attributes: attributesOf(resource) },
      scopeSpans: [{ scope: { name: 'hypr' }, spans: spans.map(spanOf) }],
    },
  ],
});

const spanOf = ({ traceId, spanId, parent, name, lane, kind, begin, end, error }: Span): object => ({
  traceId,
  spanId,
  ...(parent === undefined ? {} : { parentSpanId: parent.spanId }),
  name,
  kind: kind === 'server' ? 2 : 1,
  startTimeUnixNano: nanoseconds(begin),
  endTimeUnixNano: nanoseconds(end),
  attributes: attributesOf({ 'hypr.lane': lane, ...(error === undefined ? {} : { 'error.type': error }) }),
  status: error === undefined ? {} : { code: 2 },
});

const nanoseconds = (microseconds: number): string => `${Math.round(microseconds)}000`;

const attributesOf = (values: Readonly<Record<string, string | number>>): object[] =>
  Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value },
  }));
