import { fromJson, type JsonObject, type JsonValue, toJson } from '@bufbuild/protobuf';
import { type Struct, StructSchema, type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { isAbort } from '../../../base/errors.ts';
import type { Home } from '../../api/gen/home_pb.ts';
import { packFiles } from '../../client/files/pack-files.ts';
import { describeError } from '../http/errors.ts';
import type { Routes } from '../http/router.ts';
import { type Answer, type RouteRequest, routeCaller } from './call-route.ts';
import { STREAMED, UNARY, type Verb } from './verbs.ts';

/** The service Home (engine/api/home.proto) over the routes of the JSON API. */
export const homeService = (routes: Routes): ServiceImpl<typeof Home> => {
  const call = routeCaller(routes);
  const ask = (verb: Verb, asked: JsonObject, signal: AbortSignal): Promise<Answer> => call(requestOf(verb, asked, signal));
  const unary =
    (verb: Verb) =>
    (asked: Struct, { signal }: HandlerContext) =>
      carried(async () => asValue(await only(await ask(verb, objectOf(asked), signal))));
  const streamed = (verb: Verb) =>
    async function* (asked: Struct, { signal }: HandlerContext): AsyncGenerator<Value> {
      yield* told(() => ask(verb, objectOf(asked), signal), verb.isText);
    };
  const service = {
    ...mapValues(UNARY, unary),
    ...mapValues(STREAMED, streamed),
    async *runVM(asked: Struct, { signal }: HandlerContext): AsyncGenerator<Value> {
      const machine = await carried(async () => only(await ask(UNARY.createVM, { ...objectOf(asked), start: true }, signal)));
      yield asValue(machine);
      const { id } = machine as { id: string };
      yield* told(() => ask(STREAMED.streamLogs, { id, follow: true }, signal), true);
      const ended = await carried(async () => only(await ask({ route: 'POST /machines/{id}/wait' }, { id }, signal)));
      yield asValue({ exit_code: (ended as { StatusCode?: number }).StatusCode ?? 0 });
    },
    async *buildImage(given: Struct, { signal }: HandlerContext): AsyncGenerator<Value> {
      const { directory, ...asked } = objectOf(given);
      if (typeof directory !== 'string' || !directory.startsWith('/')) {
        throw new ConnectError('directory is the absolute path of a folder of this host', Code.InvalidArgument);
      }
      const tar = packFiles(directory, { name: '.', keepOwner: false, followLinks: true });
      yield* told(() => call({ route: 'POST /images/build', params: {}, query: queryOf(Object.entries(asked)), body: tar, signal }));
    },
  };
  return service as unknown as ServiceImpl<typeof Home>;
};

const objectOf = (asked: Struct): JsonObject => toJson(StructSchema, asked) as JsonObject;

const mapValues = <T extends object, R>(table: T, make: (verb: Verb) => R): Record<keyof T, R> =>
  Object.fromEntries(Object.entries(table).map(([name, verb]) => [name, make(verb as Verb)])) as Record<keyof T, R>;

const requestOf = (verb: Verb, asked: JsonObject, signal: AbortSignal): RouteRequest => {
  const members: JsonObject = { ...(verb.standard as JsonObject | undefined), ...asked };
  const params: Record<string, string> = {};
  for (const [, name = ''] of verb.route.matchAll(/\{(\w+)(?:\.\.\.)?\}/g)) {
    const value = members[name];
    if (typeof value !== 'string' || value === '') {
      throw new ConnectError(`${name} is missing`, Code.InvalidArgument);
    }
    params[name] = value;
    delete members[name];
  }
  const isQuery = (name: string): boolean => /^(GET|DELETE) /.test(verb.route) || verb.query?.includes(name) === true;
  const entries = Object.entries(members);
  const query = queryOf(entries.filter(([name]) => isQuery(name)));
  return { route: verb.route, params, query, body: Object.fromEntries(entries.filter(([name]) => !isQuery(name))), signal };
};

/** Lists are told once for each of theirs, objects (filters) as JSON. */
const queryOf = (entries: ReadonlyArray<readonly [string, JsonValue | undefined]>): URLSearchParams => {
  const query = new URLSearchParams();
  for (const [name, value] of entries) {
    for (const each of Array.isArray(value) ? value : [value]) {
      query.append(name, typeof each === 'object' && each !== null ? JSON.stringify(each) : String(each));
    }
  }
  return query;
};

/** The one object of an answer. What is text (`OK` of health) is an object with that text. */
const only = async (answer: Answer): Promise<unknown> => {
  if ('json' in answer) {
    return answer.json;
  }
  const lines: string[] = [];
  for await (const line of answer.lines) {
    lines.push(line);
  }
  const text = lines.join('\n');
  return jsonOf(text) ?? { text };
};

/** Line by line: what a program wrote as it is, everything else is an object of JSON. */
async function* told(ask: () => Promise<Answer>, isText = false): AsyncGenerator<Value> {
  const answer = await carried(ask);
  if ('json' in answer) {
    yield asValue(answer.json);
    return;
  }
  try {
    for await (const line of answer.lines) {
      if (isText || line !== '') {
        yield asValue(isText ? { line } : (jsonOf(line) ?? { line }));
      }
    }
  } catch (error) {
    throw callError(error);
  }
}

/** An object or a list of JSON; undefined for everything else. */
const jsonOf = (text: string): object | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
};

// What the routes say is made of plain values, but for what JSON leaves out: undefined, and dates.
const asValue = (value: unknown): Value => fromJson(ValueSchema, JSON.parse(JSON.stringify(value ?? null)) as JsonValue);

const CODES: Readonly<Record<number, Code>> = {
  400: Code.InvalidArgument,
  401: Code.Unauthenticated,
  403: Code.PermissionDenied,
  404: Code.NotFound,
  409: Code.FailedPrecondition,
  413: Code.ResourceExhausted,
  501: Code.Unimplemented,
};

/** Does it; what a route throws has the code of its status. */
const carried = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    throw callError(error);
  }
};

const callError = (error: unknown): ConnectError => {
  if (error instanceof ConnectError) {
    return error;
  }
  if (isAbort(error)) {
    return new ConnectError('cancelled', Code.Canceled);
  }
  const { status, message } = describeError(error);
  return new ConnectError(message, CODES[status] ?? Code.Internal);
};
