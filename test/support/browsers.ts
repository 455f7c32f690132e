import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asNamespaceRoot } from './mount-namespace.ts';

/** In a mount namespace whose root is that folder; /tmp is the host's, and so is its network. */
const MOUNTS = `set -e
for d in proc dev tmp; do mount --rbind /$d "$0/$d"; done
exec chroot "$0" "$@"`;

interface Launch {
  readonly root: string;
  /** The user's home, below /tmp. */
  readonly home: string;
  readonly args?: readonly string[];
  /** Beside the home and the locale. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A running browser with one page. */
export interface BrowserPage {
  /** Goes there and waits for the page; throws with the browser's own code (ERR_CERT_AUTHORITY_INVALID) when it cannot. */
  open(url: string): Promise<void>;
  /** What an expression, which may be a promise, gives; as JSON. */
  evaluate<T>(expression: string): Promise<T>;
  /** PNG. */
  screenshot(options?: { readonly width: number; readonly height: number; readonly dark?: boolean }): Promise<Buffer>;
  close(): Promise<void>;
}

export const launchChromium = async ({ root, home, args = [], env }: Launch): Promise<BrowserPage> => {
  const profile = await mkdtemp(join(tmpdir(), 'hypr-chromium-'));
  const own = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--remote-debugging-port=0',
    `--user-data-dir=${profile}`,
  ];
  const child = start(root, home, ['/usr/lib/chromium/chromium', ...own, ...args, 'about:blank'], env);
  const port = await findText(child, /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//);
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as Array<{ type: string; webSocketDebuggerUrl: string }>;
  const socket = await JsonSocket.open(targets.find(({ type }) => type === 'page')?.webSocketDebuggerUrl ?? '');
  await socket.call('Page.enable', {});
  return {
    open: async (url) => {
      const loaded = socket.next('Page.loadEventFired');
      const { errorText } = (await socket.call('Page.navigate', { url })) as { errorText?: string };
      if (errorText !== undefined) {
        throw new Error(errorText);
      }
      await loaded;
    },
    evaluate: async <T>(expression: string) => {
      const answer = await socket.call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      const { result, exceptionDetails } = answer as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
      if (exceptionDetails !== undefined) {
        throw new Error(exceptionDetails.exception?.description ?? 'the page threw');
      }
      return result.value;
    },
    screenshot: async ({ width, height, dark } = { width: 1280, height: 800 }) => {
      await socket.call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
      const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
      await socket.call('Emulation.setEmulatedMedia', { features });
      const { data } = (await socket.call('Page.captureScreenshot', { format: 'png' })) as { data: string };
      return Buffer.from(data, 'base64');
    },
    close: () => stop(child, socket, profile),
  };
};

export const launchFirefox = async ({ root, home, args = [], env }: Launch): Promise<BrowserPage> => {
  const profile = args.includes('--profile') ? undefined : await mkdtemp(join(tmpdir(), 'hypr-firefox-'));
  const own = ['--headless', '--remote-debugging-port=0', ...(profile === undefined ? [] : ['--profile', profile])];
  const child = start(root, home, ['/usr/lib/firefox-esr/firefox-esr', ...own, ...args, 'about:blank'], env);
  const url = await findText(child, /WebDriver BiDi listening on (ws:\/\/127\.0\.0\.1:\d+)/);
  const socket = await JsonSocket.open(`${url}/session`);
  await socket.call('session.new', { capabilities: {} });
  const { contexts } = (await socket.call('browsingContext.getTree', {})) as { contexts: Array<{ context: string }> };
  const context = contexts[0]?.context;
  return {
    open: async (url) => void (await socket.call('browsingContext.navigate', { context, url, wait: 'complete' })),
    evaluate: async <T>(expression: string) => {
      const wrapped = `Promise.resolve(${expression}).then((value) => JSON.stringify(value))`;
      const answer = await socket.call('script.evaluate', { expression: wrapped, target: { context }, awaitPromise: true });
      const { result, exceptionDetails } = answer as { result?: { value: string }; exceptionDetails?: { text: string } };
      if (exceptionDetails !== undefined) {
        throw new Error(exceptionDetails.text);
      }
      return JSON.parse(result?.value ?? 'null') as T;
    },
    screenshot: async ({ width, height } = { width: 1280, height: 800 }) => {
      await socket.call('browsingContext.setViewport', { context, viewport: { width, height } });
      const { data } = (await socket.call('browsingContext.captureScreenshot', { context })) as { data: string };
      return Buffer.from(data, 'base64');
    },
    close: () => stop(child, socket, profile),
  };
};

/** The command line of a program of that root. */
export const inRoot = (root: string, command: readonly string[]): string[] => [...asNamespaceRoot, 'sh', '-c', MOUNTS, root, ...command];

const start = (root: string, home: string, command: readonly string[], more: NodeJS.ProcessEnv = {}): ChildProcess => {
  const [file = '', ...args] = inRoot(root, command);
  // A group of its own, so that all of a browser's processes end with it.
  const env = { HOME: home, LANG: 'C.UTF-8', MOZ_HEADLESS: '1', PATH: process.env.PATH, ...more };
  return spawn(file, args, { env, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
};

/** The first group of the first match in what it says on stderr. */
const findText = (child: ChildProcess, pattern: RegExp): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-20_000);
      const found = pattern.exec(text)?.[1];
      if (found !== undefined) {
        resolve(found);
      }
    });
    child.on('error', reject).on('exit', (code) => reject(new Error(`the browser ended with ${code}\n${text}`)));
  });

const stop = async (child: ChildProcess, socket: JsonSocket, profile: string | undefined): Promise<void> => {
  socket.close();
  const ended = new Promise((resolve) => child.once('exit', resolve));
  if (child.exitCode === null && child.pid !== undefined) {
    process.kill(-child.pid, 'SIGKILL');
    await ended;
  }
  if (profile !== undefined) {
    // Its last processes may still write as they end.
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
};

/** Requests with an id, their answers and events, over a WebSocket: the DevTools protocol and WebDriver BiDi. */
class JsonSocket {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #events = new Map<string, () => void>();
  #id = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#take(JSON.parse(String(data)) as Answer);
    socket.onclose = () => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error('the browser closed the connection'));
      }
    };
  }

  static open(url: string): Promise<JsonSocket> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.onopen = () => resolve(new JsonSocket(socket));
      socket.onerror = () => reject(new Error(`no connection to ${url}`));
    });
  }

  call(method: string, params: object): Promise<unknown> {
    this.#id += 1;
    const id = this.#id;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  next(event: string): Promise<void> {
    return new Promise((resolve) => this.#events.set(event, resolve));
  }

  close(): void {
    this.#socket.close();
  }

  #take({ id, method, result, error, message }: Answer): void {
    if (method !== undefined) {
      this.#events.get(method)?.();
      return;
    }
    const waiting = this.#waiting.get(id ?? 0);
    this.#waiting.delete(id ?? 0);
    if (error !== undefined) {
      waiting?.reject(new Error(message ?? (typeof error === 'string' ? error : error.message)));
    } else {
      waiting?.resolve(result);
    }
  }
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly result?: unknown;
  readonly error?: string | { readonly message: string };
  readonly message?: string;
}
