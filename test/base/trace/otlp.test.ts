import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OtlpExporter, otlpTarget, readTraceParent, type Span } from '../../../base/trace/otlp.ts';

const dir = mkdtempSync(join(tmpdir(), 'hypr-otlp-'));
const program = join(dir, 'program.mjs');
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const ASKER = '00f067aa0ba902b7';

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
  readonly status: { readonly code?: number };
}

/** A collector that keeps what it is sent. */
let received: { url: string; headers: http.IncomingHttpHeaders; body: unknown }[] = [];
let answer = { status: 200, location: '' };
const collector = http.createServer((request, response) => {
  void text(request).then((body) => {
    received.push({ url: request.url ?? '', headers: request.headers, body: JSON.parse(body) });
    response.writeHead(answer.status, answer.location ? { location: answer.location } : {}).end('{}');
  });
});

beforeAll(async () => {
  const source = `import { traced, tracedRequest, traceParent, flushTrace } from './base/trace/trace.ts';
    await traced('outer', 'web-1', async () => {
      await traced('inner', undefined, async () => {});
      await traced('failed', 'db-1', async () => { throw new TypeError('a secret'); }).catch(() => {});
      await tracedRequest('GET /asked', '00-${TRACE}-${ASKER}-01', async () => console.log(traceParent()));
      await tracedRequest('GET /alone', 'nonsense', async () => {});
    });
    console.log(await flushTrace(5000));`;
  const root = new URL('../../..', import.meta.url).pathname;
  await build({ stdin: { contents: source, resolveDir: root }, outfile: program, bundle: true, platform: 'node', format: 'esm' });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
});
beforeEach(() => {
  received = [];
  answer = { status: 200, location: '' };
});
afterAll(() => {
  collector.close();
  rmSync(dir, { recursive: true, force: true });
});

const endpoint = (): string => `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;

const run = async (env: NodeJS.ProcessEnv): Promise<readonly string[]> => {
  const { stdout } = await promisify(execFile)(process.execPath, [program], { env: { PATH: process.env.PATH, ...env } });
  return stdout.trim().split('\n');
};

const spansOf = (body: unknown): readonly OtlpSpan[] =>
  (body as { resourceSpans: { scopeSpans: { spans: OtlpSpan[] }[] }[] }).resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) => spans),
  );

describe('spans for a collector', () => {
  it('are sent with who is their parent, what failed, and the headers that were asked for', async () => {
    const [parent, problem] = await run({
      HYPR_OTLP_ENABLED: '1',
      OTEL_EXPORTER_OTLP_ENDPOINT: `${endpoint()}/base/`,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20b, other=1',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test',
      OTEL_SERVICE_NAME: 'mine',
    });
    expect(problem).toBe('undefined');
    expect(received).toMatchObject([
      { url: '/base/v1/traces', headers: { 'content-type': 'application/json', 'x-key': 'a b', other: '1' } },
    ]);
    expect(JSON.stringify(received)).not.toContain('a secret');
    expect(JSON.stringify(received)).toContain('{"key":"service.name","value":{"stringValue":"mine"}},{"key":"deployment.environment"');
    const spans = spansOf(received[0]?.body);
    const named = (name: string) => spans.find((span) => span.name === name);
    const outer = named('outer');
    expect(outer).toMatchObject({ kind: 1, status: {}, attributes: [{ key: 'hypr.lane', value: { stringValue: 'web-1' } }] });
    expect(outer?.parentSpanId).toBeUndefined();
    expect(outer?.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(named('inner')).toMatchObject({ traceId: outer?.traceId, parentSpanId: outer?.spanId });
    expect(named('failed')).toMatchObject({
      parentSpanId: outer?.spanId,
      status: { code: 2 },
      attributes: [{ key: 'hypr.lane' }, { key: 'error.type', value: { stringValue: 'TypeError' } }],
    });
    expect(named('GET /asked')).toMatchObject({ traceId: TRACE, parentSpanId: ASKER, kind: 2 });
    expect(parent).toBe(`00-${TRACE}-${named('GET /asked')?.spanId}-01`);
    const alone = named('GET /alone');
    expect(alone?.parentSpanId).toBeUndefined();
    expect(alone?.traceId).not.toBe(outer?.traceId);
    expect(BigInt(outer?.endTimeUnixNano ?? 0) >= BigInt(alone?.endTimeUnixNano ?? 1)).toBe(true);
  });

  it('are below the span of who started the process', async () => {
    await run({ HYPR_OTLP_ENABLED: 'true', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint(), TRACEPARENT: `00-${TRACE}-${ASKER}-01` });
    expect(received[0]?.url).toBe('/');
    expect(spansOf(received[0]?.body).find(({ name }) => name === 'outer')).toMatchObject({ traceId: TRACE, parentSpanId: ASKER });
  });

  it('are not sent unless asked for', async () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint() };
    expect(await run(env)).toEqual(['undefined', 'undefined']);
    await run({ ...env, HYPR_OTLP_ENABLED: '1', OTEL_SDK_DISABLED: 'true' });
    await run({ ...env, HYPR_OTLP_ENABLED: '1', OTEL_TRACES_EXPORTER: 'none' });
    expect(received).toEqual([]);
  });

  it('cost nothing but themselves when the collector refuses, is not there, or sends them elsewhere', async () => {
    answer = { status: 401, location: '' };
    expect((await run({ HYPR_OTLP_ENABLED: '1', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint() }))[1]).toMatch(/answered 401$/);
    expect((await run({ HYPR_OTLP_ENABLED: '1', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }))[1]).toContain(
      'http://127.0.0.1:1/v1/traces: ',
    );
    received = [];
    answer = { status: 307, location: `${endpoint()}/elsewhere` };
    expect((await run({ HYPR_OTLP_ENABLED: '1', OTEL_EXPORTER_OTLP_ENDPOINT: endpoint() }))[1]).toContain('/v1/traces: ');
    expect(received.map(({ url }) => url)).toEqual(['/v1/traces']);
  });
});

it.each([
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /grpc/],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318' }, /no address of a collector/],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'file:///etc/passwd' }, /no address of a collector/],
])('a collector that cannot be had is said › %j', (env, problem) => {
  expect(otlpTarget({ HYPR_OTLP_ENABLED: '1', ...env })).toEqual({ problem: expect.stringMatching(problem) });
});

const SPAN: Span = {
  traceId: TRACE,
  spanId: ASKER,
  parent: undefined,
  name: 'n',
  lane: 'main',
  kind: 'internal',
  begin: 1,
  end: 2,
  error: undefined,
};

describe('secrets of a collector', () => {
  it.each([
    { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer topsecret\nmore' },
    { OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'top secret=1' },
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'ftp://user:topsecret@host' },
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'host?api-key=topsecret' },
  ])('are not told with what is wrong with them › %#', (env) => {
    const { problem, target } = otlpTarget({ HYPR_OTLP_ENABLED: '1', ...env }) ?? {};
    expect(target).toBeUndefined();
    expect(problem).toContain(Object.keys(env)[0]);
    expect(problem).not.toMatch(/top ?secret/);
  });

  it('of an address are a header', () => {
    const env = { HYPR_OTLP_ENABLED: '1', OTEL_EXPORTER_OTLP_ENDPOINT: 'https://user:top%40secret@host/base?api-key=k' };
    expect(otlpTarget(env)?.target).toMatchObject({
      url: 'https://host/base/v1/traces?api-key=k',
      headers: { authorization: `Basic ${Buffer.from('user:top@secret').toString('base64')}` },
    });
    const own = otlpTarget({ ...env, OTEL_EXPORTER_OTLP_HEADERS: 'Authorization=Bearer b' })?.target;
    expect(own?.headers).toEqual({ Authorization: 'Bearer b' });
  });

  it.each(['http://127.0.0.1:1/v1/traces', undefined])('are not told when nothing could be sent › %#', async (refusing) => {
    answer = { status: 401, location: '' };
    const problems: string[] = [];
    const target = { headers: {}, timeoutMs: 5000, resource: {} };
    const exporter = new OtlpExporter({ ...target, url: `${refusing ?? endpoint()}?api-key=topsecret` }, (why) => problems.push(why));
    exporter.add(SPAN);
    await exporter.flush();
    expect(problems).toEqual([expect.stringMatching(/^http:[^?]*(: \w+| answered 401)$/)]);
  });
});

it('the end of a command waits no longer for a silent collector than it says, whatever is being sent already', async () => {
  const silent = http.createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const problems: string[] = [];
    const exporter = new OtlpExporter({ url, headers: {}, timeoutMs: 600_000, resource: {} }, (why) => problems.push(why));
    exporter.add(SPAN);
    const asked = new Promise((resolve) => silent.once('request', resolve));
    const before = exporter.flush();
    await asked;
    exporter.add(SPAN);
    await exporter.flush(50);
    await before;
    expect(problems).toEqual([`${url}: TimeoutError`]);
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
});

it.each([undefined, '', '00-0-0-01', `ff-${TRACE}-${ASKER}-01`, `00-${'0'.repeat(32)}-${ASKER}-01`, `00-${TRACE}-${'0'.repeat(16)}-01`])(
  'no traceparent is read from %j',
  (header) => {
    expect(readTraceParent(header)).toBeUndefined();
  },
);
