import { messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import { headerOf } from '../http/headers.ts';
import { MAX_WATCHERS } from '../http/limits.ts';
import type { EdgeEvent, EdgeOptions, Exchange } from '../http/types.ts';
import { badRequest } from './answers.ts';
import { sendAnswer } from './error-page.ts';
import { INDEX_CSS, INDEX_HTML, INDEX_JS } from './index-assets.ts';
import { indexState } from './index-state.ts';
import { pacFile } from './pac.ts';
import { isOfThisUser } from './peer-owner.ts';

const log = logger('edge');
const SETTLE_MS = 40;
const MOST_NOTES = 50;

const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const FILES: Readonly<Record<string, { readonly type: string; readonly text: string }>> = {
  '/': { type: 'text/html; charset=utf-8', text: INDEX_HTML },
  '/style.css': { type: 'text/css; charset=utf-8', text: INDEX_CSS },
  '/app.js': { type: 'text/javascript; charset=utf-8', text: INDEX_JS },
};

/** The edge's own pages: the index of all stacks, kept current by server-sent events, and the proxy's PAC file. They only read. */
export class OwnPages {
  readonly #options: EdgeOptions;
  readonly #reaches: (host: string) => boolean;
  /** Open streams of events. */
  readonly #watchers = new Map<Exchange, () => void>();
  /** Those whose client reads too slowly, and whether a state was left out since. */
  readonly #full = new Map<Exchange, boolean>();
  /** Refusals by stack, service and host, the newest last. */
  readonly #notes = new Map<string, EdgeEvent>();
  readonly #leave: Array<() => void> = [];
  #leaveLogs: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: Promise<string> | undefined;

  /** `reaches`: whether a request for that host would reach its service now. */
  constructor(options: EdgeOptions, reaches: (host: string) => boolean) {
    this.#options = options;
    this.#reaches = reaches;
    this.#leave.push(options.directory.onChange(() => this.#changed()));
  }

  serve(exchange: Exchange): void {
    const path = exchange.path.split('?')[0] ?? '';
    if (exchange.method !== 'GET' && exchange.method !== 'HEAD') {
      sendAnswer(exchange, { ...badRequest('These pages can only be read.'), status: 405 });
    } else if (path === '/proxy.pac') {
      // Browsers ask for it before there is any page, without headers to check; it says nothing about what runs here.
      this.#send(exchange, 'application/x-ns-proxy-autoconfig', pacFile(exchange.authority, this.#options.domain));
    } else if (!isOfThisPage(exchange)) {
      sendAnswer(exchange, { ...badRequest('This page is not for other pages.'), status: 403 });
    } else {
      void this.#serveOwner(exchange, path);
    }
  }

  async #serveOwner(exchange: Exchange, path: string): Promise<void> {
    if (!(await isOfThisUser(exchange.peer()))) {
      sendAnswer(exchange, { ...badRequest('These pages are for the user whose stacks they show.'), status: 403 });
    } else if (path === '/state.json') {
      this.#sendOnce(exchange);
    } else if (path === '/events') {
      this.#watch(exchange, () => this.#sendState(exchange));
    } else {
      const file = Object.hasOwn(FILES, path) ? FILES[path] : undefined;
      file === undefined
        ? sendAnswer(exchange, { status: 404, code: 'NAME_UNKNOWN', title: 'There is no such page', lines: [] })
        : this.#send(exchange, file.type, file.text);
    }
  }

  /** Events for a page that waits for a service: `ready` as soon as a request would reach it. */
  wait(exchange: Exchange, host: string): void {
    this.#watch(exchange, () => {
      if (this.#reaches(host)) {
        exchange.reply.write(Buffer.from('event: ready\ndata: {}\n\n'));
      }
    });
  }

  /** A refusal that the index page shows. */
  note(event: EdgeEvent): void {
    const key = `${event.stack}/${event.service}/${event.host}`;
    this.#notes.delete(key);
    this.#notes.set(key, event);
    for (const oldest of this.#notes.keys()) {
      if (this.#notes.size <= MOST_NOTES) {
        break;
      }
      this.#notes.delete(oldest);
    }
    this.#changed();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#leaveLogs?.();
    for (const leave of this.#leave) {
      leave();
    }
    for (const exchange of this.#watchers.keys()) {
      exchange.reply.end();
    }
    this.#watchers.clear();
    this.#full.clear();
  }

  #watch(exchange: Exchange, tell: () => void): void {
    if (this.#watchers.size >= MAX_WATCHERS) {
      sendAnswer(exchange, { ...badRequest('Too many pages are open.'), status: 503 });
      return;
    }
    const headers = ['content-type', 'text/event-stream', 'cache-control', 'no-store', 'x-content-type-options', 'nosniff'];
    if (exchange.method === 'HEAD') {
      exchange.reply.head(200, '', headers, true);
      return;
    }
    exchange.reply.head(200, '', headers);
    exchange.reply.write(Buffer.from('retry: 500\n\n'));
    this.#watchers.set(exchange, tell);
    this.#leaveLogs ??= this.#options.logs?.onChange(() => this.#changed());
    exchange.reply.onAbort(() => {
      this.#watchers.delete(exchange);
      this.#full.delete(exchange);
      if (this.#watchers.size === 0) {
        this.#leaveLogs?.();
        this.#leaveLogs = undefined;
      }
    });
    tell();
  }

  /** Many names change at once when a stack starts: they are reported together. */
  #changed(): void {
    if (this.#watchers.size > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        for (const tell of this.#watchers.values()) {
          tell();
        }
      }, SETTLE_MS);
    }
  }

  #sendState(exchange: Exchange): void {
    void this.#stateNow().then((text) => this.#writeState(exchange, text));
  }

  /** The same text for all pages that are told of a change together. */
  #stateNow(): Promise<string> {
    if (this.#state === undefined) {
      this.#state = this.#makeState();
      setImmediate(() => {
        this.#state = undefined;
      });
    }
    return this.#state;
  }

  async #makeState(): Promise<string> {
    const { directory, domain, logs } = this.#options;
    const names = directory.list();
    const lines = await logs?.recent([...new Set(names.map((each) => each.stack))]).catch((error: unknown) => {
      log.warn('log lines cannot be read', { error: messageOf(error) });
      return [];
    });
    const state = indexState({ domain, names }, lines ?? [], [...this.#notes.values()]);
    return `event: state\ndata: ${JSON.stringify(state)}\n\n`;
  }

  /** A state that a slow client has no room for is left out; it gets the newest one when it has read the others. */
  #writeState(exchange: Exchange, text: string): void {
    if (!this.#watchers.has(exchange)) {
      return;
    }
    if (this.#full.has(exchange)) {
      this.#full.set(exchange, true);
    } else if (!exchange.reply.write(Buffer.from(text))) {
      this.#full.set(exchange, false);
      exchange.reply.onDrain(() => this.#drained(exchange));
    }
  }

  #drained(exchange: Exchange): void {
    const wasLeftOut = this.#full.get(exchange) === true;
    this.#full.delete(exchange);
    if (wasLeftOut) {
      this.#sendState(exchange);
    }
  }

  /** What the index page shows, for programs. */
  #sendOnce(exchange: Exchange): void {
    const { directory, domain } = this.#options;
    this.#send(
      exchange,
      'application/json',
      `${JSON.stringify(indexState({ domain, names: directory.list() }, [], [...this.#notes.values()]))}\n`,
    );
  }

  #send(exchange: Exchange, type: string, text: string): void {
    const body = Buffer.from(text);
    exchange.reply.head(200, '', [
      ...['content-type', type, 'content-length', String(body.length), 'cache-control', 'no-store'],
      ...['content-security-policy', POLICY, 'x-content-type-options', 'nosniff', 'referrer-policy', 'no-referrer'],
      ...['cross-origin-resource-policy', 'same-origin', 'cross-origin-opener-policy', 'same-origin'],
    ]);
    if (exchange.method !== 'HEAD') {
      exchange.reply.write(body);
    }
    exchange.reply.end();
  }
}

/**
 * Whether a request comes from a person who opens the page, or from the page itself, and not from another page, which the browser says in
 * Sec-Fetch-Site (Fetch Metadata) or Origin. Other programs send neither.
 */
const isOfThisPage = ({ headers, authority }: Exchange): boolean => {
  const site = headerOf(headers, 'sec-fetch-site');
  const isNavigation = headerOf(headers, 'sec-fetch-mode') === 'navigate' && headerOf(headers, 'sec-fetch-dest') === 'document';
  const origin = headerOf(headers, 'origin');
  return (
    (site === undefined || site === 'same-origin' || site === 'none' || isNavigation) &&
    (origin === undefined || origin === `http://${authority}` || origin === `https://${authority}`)
  );
};
