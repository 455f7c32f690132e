import { fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toHyprError } from '../../../base/errors.ts';
import {
  DownRequestSchema,
  EventSchema,
  ExecStartSchema,
  RunStartSchema,
  UpRequestSchema,
  VerbRequestSchema,
} from '../../../engine/api/gen/hypr_pb.ts';
import { eventFrom } from '../../../engine/api/messages/events.ts';
import { downJson, execJson, runJson, upJson, verbJson } from '../../../engine/api/messages/requests.ts';
import { eventMessage } from '../../../engine/api/server/event-messages.ts';
import { needProject } from '../../../engine/api/server/projects.ts';
import { downOptions, execOptions, needVerb, runOptions, upOptions, verbOptions } from '../../../engine/api/server/requests.ts';
import type { EngineEvent, ReplicaStatus } from '../../../engine/model/events.ts';
import type { DownOptions, ExecOptions, RunOptions, ServiceVerb, UpOptions, VerbOptions } from '../../../engine/model/types.ts';
import { projectOf } from '../support/project.ts';

/** Values that JSON can hold exactly. A lone surrogate is no Unicode text, and -0 is 0 there. */
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
const int = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const number = fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 2 ** 53 }).map((value) => value + 0);
const texts = fc.array(text, { maxLength: 3 });
const key = text.filter((value) => value !== '__proto__');
const record = <T>(value: fc.Arbitrary<T>) => fc.dictionary(key, value, { maxKeys: 3, noNullPrototype: true });
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const oneOf = <V extends string>(...values: readonly V[]) => fc.constantFrom(...values);
const stream = oneOf('stdout', 'stderr');

/** Without what is undefined: on the wire it is not there. */
const strip = <T>(value: T): T => (value === undefined ? value : (JSON.parse(JSON.stringify(value)) as T));

const replica: fc.Arbitrary<ReplicaStatus> = fc
  .record({
    id: name,
    name,
    service: name,
    number: int,
    oneOff: fc.boolean(),
    image: text,
    imageId: text,
    command: texts,
    state: oneOf('created', 'starting', 'running', 'paused', 'suspended', 'restarting', 'stopping', 'exited', 'dead'),
    health: oneOf('none', 'starting', 'healthy', 'unhealthy'),
    exitCode: int,
    reason: maybe(text),
    restarts: int,
    createdAt: number,
    startedAt: maybe(number),
    finishedAt: maybe(number),
    addresses: fc.array(fc.record({ network: text, address: text, mac: text }), { maxLength: 2 }),
    ports: fc.array(fc.record({ protocol: oneOf('tcp', 'udp'), hostAddress: text, hostPort: int, port: int }), { maxLength: 2 }),
    exposed: texts,
    labels: record(text),
    mounts: texts,
    volumes: texts,
    bootMs: maybe(number),
    stall: maybe(fc.record({ kind: oneOf('full', 'silent'), since: number })),
    startSpans: maybe(fc.array(fc.record({ name: text, ms: number }), { minLength: 1, maxLength: 2 })),
  })
  .map((value) => strip(value) as ReplicaStatus);

const place = fc.record({ file: text, line: maybe(int), column: maybe(int) });
const error = fc
  .record({
    code: oneOf('VMM_START', 'COMPOSE_INVALID'),
    message: text,
    hint: maybe(name),
    where: maybe(place),
    path: maybe(fc.array(text, { minLength: 1, maxLength: 3 })),
    details: texts,
  })
  .map(strip);

const buildEvent = fc.oneof(
  fc.record({
    type: fc.constant('vertex'),
    id: int,
    name: text,
    state: oneOf('started', 'done', 'cached', 'error', 'canceled'),
    time: number,
    duration: maybe(number),
    error: maybe(text),
  }),
  fc.record({ type: fc.constant('log'), id: int, stream, text, time: number }),
  fc.record({ type: fc.constant('status'), id: int, text, time: number, current: maybe(number), total: maybe(number) }),
  fc.record({ type: fc.constant('warning'), message: text, file: maybe(text), line: maybe(int) }),
);

const action = oneOf('create', 'start', 'die', 'health_status', 'oom', 'listening', 'update', 'destroy');
const event: fc.Arbitrary<EngineEvent> = fc
  .oneof(
    fc.record({
      type: fc.constant('progress'),
      time: number,
      progress: fc.record({
        id: name,
        parentId: maybe(text),
        status: oneOf('working', 'done', 'warning', 'error'),
        text,
        details: maybe(text),
        current: maybe(number),
        total: maybe(number),
      }),
    }),
    fc.record({ type: fc.constant('replica'), time: number, action, replica, gone: maybe(fc.constant(true)) }),
    fc
      .record({ time: number, stream, replica: name, service: text, line: text, place: maybe(fc.record({ run: number, seq: number })) })
      .map(({ place: where, ...line }) => ({ ...line, ...where }))
      .map((line) => ({ type: 'log', time: line.time, record: line })),
    fc.record({ type: fc.constant('build'), time: number, service: text, event: buildEvent }),
    fc.record({
      type: fc.constant('usage'),
      time: number,
      usage: fc.record({
        replica: name,
        cpu: number,
        memory: number,
        memoryLimit: number,
        hostMemory: number,
        netRx: number,
        netTx: number,
        blockRead: number,
        blockWrite: number,
        pids: int,
      }),
    }),
    fc.record({ type: fc.constant('warning'), time: number, message: text }),
    fc.record({
      type: fc.constant('refusal'),
      time: number,
      refusal: fc.record({
        replica: name,
        service: text,
        rule: oneOf('egress', 'policy', 'rate'),
        protocol: text,
        to: maybe(text),
        name: maybe(text),
        count: number,
        total: number,
      }),
    }),
    fc.record({ type: fc.constant('error'), time: number, error }),
    fc.record({ type: fc.constant('finished'), time: number, operation: text, error: maybe(error) }),
  )
  .map((value) => strip(value) as EngineEvent);

test('an event › is the same after the way through JSON and through protobuf', () => {
  fc.assert(
    fc.property(event, (value) => {
      const message = eventMessage(value);
      expect(eventFrom(JSON.parse(toJsonString(EventSchema, message)))).toEqual(value);
      expect(fromBinary(EventSchema, toBinary(EventSchema, message))).toEqual(message);
    }),
  );
});

test('an event › of a kind that only a newer supervisor has is undefined; so is one of a build', () => {
  expect(eventFrom({ time: 1, moved: {} } as object)).toBeUndefined();
  expect(eventFrom({ time: 1, build: { service: 'a', moved: {} } } as object)).toBeUndefined();
  const code = 'FROM_THE_FUTURE';
  expect(eventFrom({ error: { code, message: 'no' } })).toMatchObject({ error: { code: 'SUPERVISOR_FAILED', message: 'no' } });
});

const flags = <K extends string>(...names: readonly K[]) =>
  fc
    .tuple(...names.map(() => fc.boolean()))
    .map((values) => Object.fromEntries(names.map((each, at) => [each, values[at]])) as Record<K, boolean>);
const pull = oneOf('always', 'missing', 'never', 'policy');
const size = maybe(fc.record({ columns: fc.integer({ min: 1, max: 9999 }), rows: fc.integer({ min: 1, max: 9999 }) }));

const up: fc.Arbitrary<UpOptions> = fc
  .tuple(
    fc.record({
      services: texts,
      pull,
      scale: record(int),
      timeout: maybe(number),
      waitTimeout: maybe(number),
      parallel: maybe(int),
      recreateVolumes: texts,
    }),
    flags(
      'build',
      'noBuild',
      'forceRecreate',
      'noRecreate',
      'alwaysRecreateDeps',
      'renewAnonVolumes',
      'noDeps',
      'noStart',
      'removeOrphans',
      'ignoreOrphans',
      'wait',
    ),
  )
  .map(([values, booleans]) => ({ ...values, ...booleans }));
const down: fc.Arbitrary<DownOptions> = fc
  .tuple(
    fc.record({ services: texts, removeImages: oneOf('none', 'local', 'all'), timeout: maybe(number) }),
    flags('volumes', 'removeOrphans'),
  )
  .map(([values, booleans]) => ({ ...values, ...booleans }));
const verb: fc.Arbitrary<VerbOptions> = fc
  .tuple(
    fc.record({ services: texts, replicas: texts, timeout: maybe(number), waitTimeout: maybe(number), signal: maybe(text) }),
    flags('noDeps', 'stop', 'volumes', 'wait'),
  )
  .map(([values, booleans]) => ({ ...values, ...booleans }));
const exec: fc.Arbitrary<ExecOptions> = fc
  .tuple(
    fc.record({
      service: name,
      index: maybe(int),
      args: fc.array(text, { minLength: 1, maxLength: 3 }),
      env: texts,
      user: maybe(text),
      workdir: maybe(text),
      size,
    }),
    flags('tty', 'stdin', 'detach', 'privileged'),
  )
  .map(([values, booleans]) => ({ ...values, ...booleans }));
const mount = fc
  .record({
    type: oneOf('bind', 'volume', 'tmpfs'),
    source: maybe(text),
    target: name,
    read_only: maybe(fc.boolean()),
    bind: maybe(fc.record({ create_host_path: maybe(fc.boolean()), propagation: maybe(text), selinux: maybe(text) })),
    volume: maybe(fc.record({ nocopy: maybe(fc.boolean()), subpath: maybe(text) })),
    tmpfs: maybe(fc.record({ size: maybe(text), mode: maybe(int) })),
  })
  .map(strip);
const port = fc
  .record({
    mode: maybe(text),
    host_ip: maybe(text),
    target: fc.integer({ min: 1, max: 65_535 }),
    published: maybe(text),
    protocol: maybe(text),
    name: maybe(text),
    app_protocol: maybe(text),
  })
  .map(strip);
const run = fc
  .tuple(
    fc.record({
      service: name,
      name: maybe(text),
      args: texts,
      entrypoint: maybe(texts),
      env: record(text),
      labels: record(text),
      volumes: fc.array(mount, { maxLength: 2 }),
      ports: fc.array(port, { maxLength: 2 }),
      user: maybe(text),
      workdir: maybe(text),
      capAdd: texts,
      capDrop: texts,
      size,
      remove: oneOf('no', 'replica', 'stack'),
      pull,
    }),
    flags('servicePorts', 'useAliases', 'tty', 'stdin', 'detach', 'ordinary', 'noDeps', 'build', 'removeOrphans', 'ignoreOrphans'),
  )
  .map(([values, booleans]) => ({ ...values, ...booleans }) as RunOptions);

const project = projectOf({ web: { image: 'nginx', command: null, environment: { A: null, B: '1' }, 'x-mine': [1, { a: null }] } });

describe('a request › means to the supervisor what the command meant', () => {
  test('up', () => {
    fc.assert(
      fc.property(up, (options) => {
        const message = fromJsonString(UpRequestSchema, JSON.stringify(upJson(project, options)));
        expect(upOptions(message.options)).toEqual(options);
        expect(needProject(message.project)).toEqual({ models: {}, ...strip(project) });
      }),
    );
  });

  test('down', () => {
    fc.assert(
      fc.property(down, (options) => {
        const message = fromJsonString(DownRequestSchema, JSON.stringify(downJson(undefined, options)));
        expect([message.project, downOptions(message.options)]).toEqual([undefined, options]);
      }),
    );
  });

  test('a verb', () => {
    const verbs = oneOf<ServiceVerb>('start', 'stop', 'restart', 'kill', 'pause', 'unpause', 'suspend', 'resume', 'rm');
    fc.assert(
      fc.property(verbs, verb, (what, options) => {
        const message = fromJsonString(VerbRequestSchema, JSON.stringify(verbJson(what, undefined, options)));
        expect([needVerb(message.verb), verbOptions(message.options)]).toEqual([what, options]);
      }),
    );
  });

  test('exec', () => {
    fc.assert(
      fc.property(exec, (options) => {
        const { size: terminal, ...given } = execOptions(fromJsonString(ExecStartSchema, JSON.stringify(execJson(options))));
        expect(strip({ ...given, size: terminal })).toEqual(strip(options));
      }),
    );
  });

  test('run', () => {
    fc.assert(
      fc.property(run, (options) => {
        const message = fromJsonString(RunStartSchema, JSON.stringify(runJson(project, options)));
        expect(strip(runOptions(message.options))).toEqual(strip(options));
      }),
    );
  });
});

describe('a request › that makes no sense is refused', () => {
  const codeOf = (work: () => unknown) => {
    try {
      return work();
    } catch (thrown) {
      return toHyprError(thrown).code;
    }
  };
  const execOf = (json: object) => () => execOptions(fromJsonString(ExecStartSchema, JSON.stringify(json)));
  const runOf = (options: object) => () => runOptions(fromJsonString(RunStartSchema, JSON.stringify({ options })).options);
  const upOf = (options: object) => () => upOptions(fromJsonString(UpRequestSchema, JSON.stringify({ options })).options);

  test.each([
    ['an exec without a program', execOf({ service: 'web' })],
    ['a terminal without columns', execOf({ service: 'web', args: ['sh'], size: { rows: 4 } })],
    ['a run of no service', runOf({})],
    ['a mount of a type that there is not', runOf({ service: 'web', volumes: [{ type: 'nfs', target: '/a' }] })],
    ['a port without a number', runOf({ service: 'web', ports: [{ published: '80' }] })],
    ['fewer replicas than none', upOf({ scale: { web: -1 } })],
    ['a time without end', upOf({ timeout: 'Infinity' })],
    ['no verb', () => needVerb(0)],
    ['a verb that there is not', () => needVerb(99 as 1)],
    ['no project', () => needProject(undefined)],
    ['a project without a name', () => needProject(fromJsonString(UpRequestSchema, '{"project":{}}').project)],
  ])('%s', (_, work) => {
    expect(codeOf(work)).toBe('HYPR_USAGE');
  });

  test.each([
    ['a number that is text', UpRequestSchema, '{"options":{"scale":{"web":"many"}}}'],
    ['a flag that is a number', UpRequestSchema, '{"options":{"build":1}}'],
    ['a pull that there is not', UpRequestSchema, '{"options":{"pull":"PULL_SOMETIMES"}}'],
    ['a service that is no object', UpRequestSchema, '{"project":{"services":{"web":"nginx"}}}'],
  ] as const)('by its schema already: %s', (_, schema, json) => {
    expect(() => fromJsonString(schema, json)).toThrow(/cannot decode/);
  });
});
