import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { linkedController } from '../../base/abort.ts';
import { messageOf } from '../../base/errors.ts';
import { LineSplitter } from '../../base/lines.ts';
import type { Handler } from '../core/command-spec.ts';
import { HYPR_VERSION } from '../core/version.ts';
import { McpFault, TOOLS, type Tool } from './mcp-tools.ts';

/** Versions of the protocol whose messages are these; a client that asks for another is told of the first. */
const VERSIONS = ['2025-06-18', '2025-03-26', '2024-11-05'];
const MOST_LINE = 4 << 20;
/** What a command wrote is given to this length, its end. */
const MOST_OUTPUT = 256 << 10;
const MOST_CALLS = 16;
const CALL_MS = 30 * 60_000;

export interface Ran {
  readonly code: number;
  readonly output: string;
}

export interface McpOptions {
  readonly input: AsyncIterable<Uint8Array>;
  readonly write: (line: string) => void;
  /** Runs hypr with these arguments in a folder; undefined: where it was started. */
  readonly run: (args: readonly string[], directory: string | undefined, signal: AbortSignal) => Promise<Ran>;
  readonly signal: AbortSignal;
}

/** `mcp`: the Model Context Protocol on standard input and output, until the input ends. */
export const runMcp: Handler = async ({ context }) => {
  const run: McpOptions['run'] = async (args, directory, signal) => {
    const cwd = directory === undefined ? context.cwd : resolve(context.cwd, directory);
    // Of a folder that is not there the program that could not be started would be told.
    if (directory !== undefined && !((await stat(cwd).catch(() => undefined))?.isDirectory() ?? false)) {
      throw new McpFault(`there is no folder ${cwd}`);
    }
    return runHypr(args, { cwd, env: { ...context.env, NO_COLOR: '1', HYPR_NO_INPUT: '1' } }, signal);
  };
  const write = (line: string): void => void context.stdout.write(`${line}\n`);
  await serveMcp({ input: context.stdin as AsyncIterable<Uint8Array>, write, run, signal: context.interrupts.signal });
  return 0;
};

/** Another process, so that one call disturbs no other. */
const runHypr = (args: readonly string[], options: { cwd: string; env: NodeJS.ProcessEnv }, signal: AbortSignal): Promise<Ran> =>
  new Promise((done, fail) => {
    const child = spawn(process.execPath, [process.argv[1] ?? '', ...args], {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
      killSignal: 'SIGTERM',
    });
    let output = '';
    const keep = (data: string): void => {
      output = (output + data).slice(-MOST_OUTPUT);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.once('error', fail);
    child.once('close', (code) => done({ code: code ?? 1, output }));
  });

type Id = string | number | null;

interface Message {
  readonly id?: Id;
  readonly method?: unknown;
  readonly params?: unknown;
}

/** Answers requests, several at a time, until the input ends; what is under way then is ended. */
export const serveMcp = async (options: McpOptions): Promise<void> => {
  const calls = new Map<Id, AbortController>();
  const answers = new Set<Promise<unknown>>();
  const all = linkedController(options.signal);
  const lines = new LineSplitter({ most: MOST_LINE });
  const take = (line: Buffer): void => {
    const message = parse(line.toString('utf8'));
    if (message === undefined) {
      options.write(JSON.stringify(failure(null, -32700, 'this is no message of JSON-RPC')));
    } else if (message.method === 'notifications/cancelled') {
      calls.get((recordOf(message.params).requestId ?? null) as Id)?.abort();
    } else if (message.id !== undefined && typeof message.method === 'string') {
      const { id } = message as Message & { id: Id };
      const answering = answer(message as Message & { id: Id }, { options, calls, signal: all.signal }).catch((error: unknown) =>
        options.write(JSON.stringify(failure(id, -32603, messageOf(error)))),
      );
      answers.add(answering);
      void answering.finally(() => answers.delete(answering));
    }
  };
  const end = new Promise<void>((resolve) => options.signal.addEventListener('abort', () => resolve()));
  try {
    await Promise.race([readLines(options.input, lines, take), end]);
  } finally {
    all.abort();
    // Programs that calls have started end by the abort: nothing of theirs outlives this.
    await Promise.allSettled(answers);
  }
};

const readLines = async (input: AsyncIterable<Uint8Array>, lines: LineSplitter, take: (line: Buffer) => void): Promise<void> => {
  for await (const chunk of input) {
    for (const line of lines.push(Buffer.from(chunk))) {
      line.length > 0 && take(Buffer.from(line));
    }
  }
};

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

const parse = (line: string): Message | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

interface Serving {
  readonly options: McpOptions;
  readonly calls: Map<Id, AbortController>;
  readonly signal: AbortSignal;
}

const answer = async ({ id, method, params: given }: Message & { id: Id }, serving: Serving): Promise<void> => {
  const { options, calls } = serving;
  const params = recordOf(given);
  const reply = (result: unknown): void => options.write(JSON.stringify({ jsonrpc: '2.0', id, result }));
  switch (method) {
    case 'initialize': {
      const protocolVersion = VERSIONS.includes(String(params.protocolVersion)) ? params.protocolVersion : VERSIONS[0];
      return reply({ protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'hypr', version: HYPR_VERSION } });
    }
    case 'ping':
      return reply({});
    case 'tools/list':
      return reply({ tools: TOOLS.map(describe) });
    case 'tools/call': {
      const tool = TOOLS.find(({ name }) => name === params.name);
      if (tool === undefined || calls.size >= MOST_CALLS || calls.has(id)) {
        const reason = tool === undefined ? 'there is no such tool' : 'too many calls at once, or one with this id';
        return options.write(JSON.stringify(failure(id, -32602, reason)));
      }
      return reply(await call(tool, id, recordOf(params.arguments), serving));
    }
    default:
      return options.write(JSON.stringify(failure(id, -32601, 'hypr has no such method')));
  }
};

const describe = ({ name, description, properties, required = [], readOnly }: Tool): unknown => ({
  name,
  description,
  inputSchema: { type: 'object', properties, required, additionalProperties: false },
  annotations: { readOnlyHint: readOnly, destructiveHint: name === 'down' || name === 'exec', openWorldHint: false },
});

/** What fails is an answer as well: whoever asked is to read why. */
const call = async (
  tool: Tool,
  id: Id,
  given: Readonly<Record<string, unknown>>,
  { options, calls, signal }: Serving,
): Promise<unknown> => {
  const own = linkedController(AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]));
  calls.set(id, own);
  try {
    const directory = given.directory;
    const unknown = Object.keys(given).find((key) => !Object.hasOwn(tool.properties, key));
    if (unknown !== undefined || (directory !== undefined && typeof directory !== 'string')) {
      throw new McpFault(unknown === undefined ? '"directory" has to be a path' : `there is no "${unknown}"`);
    }
    const { code, output } = await options.run(tool.command(given), directory, own.signal);
    return { content: [{ type: 'text', text: code === 0 ? output : `${output}\n(exit code ${code})` }], isError: code !== 0 };
  } catch (error) {
    return { content: [{ type: 'text', text: messageOf(error) }], isError: true };
  } finally {
    calls.delete(id);
    own.abort();
  }
};

const failure = (id: Id, code: number, message: string): unknown => ({ jsonrpc: '2.0', id, error: { code, message } });
