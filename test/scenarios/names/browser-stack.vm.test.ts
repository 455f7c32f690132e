import { cpSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { homePaths, runtimeDir } from '../../../base/paths.ts';
import { askEdge } from '../../../engine/edge/info.ts';
import { firefoxArgs } from '../../../engine/trust/open-browser.ts';
import { type BrowserPage, launchChromium, launchFirefox } from '../../support/browsers.ts';
import { root as checkout, mustHypr } from '../../support/cli.ts';
import { fetchDebianRoot } from '../../support/debian/debian-root.ts';
import { freePort } from '../../support/free-port.ts';
import { noNamespace } from '../../support/mount-namespace.ts';
import { needs } from '../../support/needs.ts';
import { TestStack } from '../../support/stack.ts';
import { askEdgeFor, textOf } from './edge-client.ts';

const MINUTES = 60_000;
const PORT = await freePort();
const MIB = 2 ** 20;
/** By browsers, both ways. */
const BYTES = 16 * MIB;
/** Through the edge by a program, both ways. */
const BIG = 2 ** 30;

const FILE = `
services:
  page:
    image: node:20-slim
    volumes: ['./browser:/browser:ro']
    command: [node, /browser/server.mjs, '3000']
    stop_grace_period: 0s
  api:
    image: node:20-slim
    volumes: ['./browser:/browser:ro']
    command: [node, /browser/grpc.mjs, serve, '3000']
    stop_grace_period: 0s
`;

const LAUNCH = { Chromium: launchChromium, Firefox: launchFirefox } as const;

needs(noNamespace()).describe('a stack of machines in real browsers', () => {
  let stack: TestStack;
  let browsers: string;
  let folder: string;
  const home = () => join(folder, 'user');
  const trustHost = () => ({
    ...{ paths: homePaths(inject('hyprHome')), home: home(), signal: AbortSignal.timeout(2 * MINUTES) },
    env: { ...process.env, XDG_CURRENT_DESKTOP: '', HYPR_EDGE_PORT: String(PORT) },
  });
  const setup = (...flags: string[]) => mustHypr(['setup', ...flags], { env: { ...stack.env, HOME: home(), XDG_CURRENT_DESKTOP: '' } });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypr-browser-'));
    await mkdir(home());
    browsers = await fetchDebianRoot(homePaths().cache);
    stack = await new TestStack('webtest', { HYPR_EDGE_PORT: String(PORT), HYPR_DNS_PORT: '0' }).write({ 'compose.yaml': FILE });
    cpSync(join(checkout, 'fixtures/browser'), join(stack.dir, 'browser'), { recursive: true });
    // Before the machines, which get the authority at their start.
    await setup('--browser');
    await stack.must(['up', '-d', '--wait']);
    // Listening is what gives a service its web port.
    await stack.must([
      'exec',
      '-T',
      'api',
      'node',
      '-e',
      'const t = () => require("net").connect(3000).on("error", () => setTimeout(t, 50)).on("connect", process.exit); t()',
    ]);
  }, 10 * MINUTES);
  afterAll(async () => {
    await stack.close();
    await setup('--undo', '--yes');
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });

  const visit = async <T>(launch: () => Promise<BrowserPage>, use: (page: BrowserPage) => Promise<T>): Promise<T> => {
    const page = await launch();
    try {
      return await use(page);
    } finally {
      await page.close();
    }
  };
  const worked = (protocol: string) => ({
    ...{ title: 'page', isSecure: true, worker: true, socket: 'over a WebSocket', uploaded: BYTES, downloaded: BYTES, protocol },
  });
  /** One of the two browsers as its user has it after `setup --browser`. */
  const afterSetup = async (name: keyof typeof LAUNCH): Promise<BrowserPage> => {
    if (name === 'Chromium') {
      return launchChromium({ root: browsers, home: home(), args: [`--proxy-pac-url=http://127.0.0.1:${PORT}/proxy.pac`] });
    }
    const profile = await mkdtemp(join(folder, 'profile-'));
    return launchFirefox({ root: browsers, home: home(), args: await firefoxArgs(profile, trustHost(), PORT) });
  };

  test.each(['Chromium', 'Firefox'] as const)('%s reaches it by *.localhost', async (name) => {
    const done = await visit(
      () => LAUNCH[name]({ root: browsers, home: home() }),
      async (page) => {
        await page.open(`http://page.webtest.localhost:${PORT}/`);
        return page.evaluate(`tryAll(${BYTES})`);
      },
    );
    expect(done).toEqual(worked('http/1.1'));
  });

  test.each(['Chromium', 'Firefox'] as const)('%s reaches it by https with no port, and the index of all stacks shows it', async (name) => {
    await visit(
      () => afterSetup(name),
      async (page) => {
        await page.open('https://page.webtest.hypr/');
        expect(await page.evaluate(`tryAll(${BYTES})`)).toEqual(worked('h2'));
        await page.open('https://hypr/');
        expect(await page.evaluate(shows('page.webtest.hypr'))).toBe(true);
      },
    );
  });

  test('a gigabyte goes up and comes down, and the process that holds the edge stays small', async () => {
    const folder = runtimeDir({ ...process.env, HYPR_HOME: inject('hyprHome') });
    const { pid = 0 } = (await askEdge(AbortSignal.timeout(10_000), folder)) ?? {};
    const before = await forgetPeak(pid);
    const url = `http://page.webtest.localhost:${PORT}`;
    expect(await textOf(await askEdgeFor(`${url}/upload`, { body: BIG }))).toBe(String(BIG));
    let bytes = 0;
    for await (const chunk of await askEdgeFor(`${url}/download?bytes=${BIG}`)) {
      bytes += chunk.length;
    }
    expect(bytes).toBe(BIG);
    expect((await peakOf(pid)) - before).toBeLessThan(256 * MIB);
  });

  test('services reach each other by https: HTTP/2, gRPC that streams both ways, WebSocket', async () => {
    const inside = (service: string, args: readonly string[]) => stack.must(['exec', '-T', service, ...args]);
    expect(await inside('page', ['node', '/browser/grpc.mjs', 'call', 'https://api.webtest.hypr'])).toBe(
      'echo one, echo two, echo three; status 0\n',
    );
    const socket = `const s = new WebSocket('wss://page.webtest.hypr/echo'); s.onopen = () => s.send('inside');
      s.onmessage = ({ data }) => { console.log(data); process.exit(0); }; s.onerror = (e) => { console.log(e.message); process.exit(1); }`;
    expect(await inside('api', ['node', '--experimental-websocket', '--no-warnings', '-e', socket])).toBe('inside\n');
    const page = `const s = require('http2').connect('https://page.webtest.hypr').on('connect', () => console.log(s.socket.alpnProtocol));
      s.request({ ':path': '/' }).on('response', (h) => console.log(h[':status'])).on('end', () => s.close()).resume()`;
    expect(await inside('api', ['node', '-e', page])).toBe('h2\n200\n');
  });
});

/** Begins a new peak of a process's resident memory, and gives what it has now. */
const forgetPeak = async (pid: number): Promise<number> => {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
  return peakOf(pid);
};

const peakOf = async (pid: number): Promise<number> =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

/** An expression that is true once the page shows a text: the index page is filled by events. */
const shows = (text: string): string => `new Promise((resolve) => {
  const look = () => document.body.innerText.includes(${JSON.stringify(text)}) && resolve(true);
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
  look();
})`;
