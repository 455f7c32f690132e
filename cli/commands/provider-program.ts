import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Readable } from 'node:stream';
import { HyprError, messageOf } from '../../base/errors.ts';
import { firstProgram } from '../../base/host/files.ts';
import { runProgram } from '../../base/host/process.ts';
import { LineSplitter } from '../../base/lines.ts';
import { sanitiseLog, sanitiseName } from '../../base/sanitise.ts';
import type { CliContext } from '../core/context.ts';

export type ProviderCommand = 'up' | 'down' | 'stop';

/** What a provider says: lines of JSON on its output (docker compose, docs/extension.md). */
export interface ProviderMessage {
  readonly type: 'info' | 'error' | 'debug' | 'setenv' | 'rawsetenv';
  readonly message: string;
}

/** The parameters of each command, as `compose metadata` tells them; undefined for a program that does not. */
export type ProviderMetadata = Readonly<Partial<Record<ProviderCommand, readonly { readonly name: string; readonly required: boolean }[]>>>;

const PLUGIN_FOLDERS = [
  '/usr/local/lib/docker/cli-plugins',
  '/usr/local/libexec/docker/cli-plugins',
  '/usr/lib/docker/cli-plugins',
  '/usr/libexec/docker/cli-plugins',
];
const METADATA_MS = 10_000;
const METADATA_SIZE = 1 << 20;
/** A line of its messages may have a certificate in it. Of its errors only what a person reads is shown. */
const MAX_LINE = 64 * 1024;
const MAX_ERROR_LINE = 2000;
const MAX_ERROR_LINES = 1000;
/** An exchange of variables, not of data. */
const MAX_MESSAGES = 10_000;

interface ProviderRun extends Pick<CliContext, 'env' | 'cwd' | 'interrupts'> {
  readonly onMessage: (message: ProviderMessage) => void;
  /** A line of its stderr, without anything that a terminal obeys. */
  readonly onError: (line: string) => void;
}

/** The program of a provider, as docker compose looks for it: docker's plug-in of that name, then a program in PATH. */
export const findProvider = async (type: string, { env, home }: Pick<CliContext, 'env' | 'home'>): Promise<string | undefined> => {
  const config = env.DOCKER_CONFIG || join(home, '.docker');
  const folders = (env.PATH ?? '').split(delimiter).filter(isAbsolute);
  const candidates = [
    ...[join(config, 'cli-plugins'), ...PLUGIN_FOLDERS].map((folder) => join(folder, `docker-${type}`)),
    ...folders.map((folder) => join(folder, type)),
  ];
  return firstProgram(candidates);
};

export const readMetadata = async (
  program: string,
  { env, interrupts }: Pick<CliContext, 'env' | 'interrupts'>,
): Promise<ProviderMetadata | undefined> => {
  const { code, stdout } = await runProgram(program, ['compose', 'metadata'], {
    env,
    signal: interrupts.signal,
    timeout: METADATA_MS,
    most: METADATA_SIZE,
  });
  try {
    const json = JSON.parse(code === 0 ? stdout : '') as Record<string, { parameters?: unknown } | undefined>;
    const parametersOf = (command: ProviderCommand) => {
      const list = json[command]?.parameters;
      return (Array.isArray(list) ? list : []).map((each: { name?: unknown; required?: unknown }) => ({
        name: String(each.name),
        required: each.required === true,
      }));
    };
    const known = (['up', 'down', 'stop'] as const).filter((command) => json[command] !== undefined);
    return known.length === 0 ? undefined : Object.fromEntries(known.map((command) => [command, parametersOf(command)]));
  } catch {
    return undefined;
  }
};

/**
 * Runs a provider to its end and hands on what it says: its messages, and of its errors clean lines for a terminal. A provider is killed
 * that says something that is no message, a longer line or more of them than any would. Throws PROVIDER_FAILED with its error, or its exit code.
 */
export const runProvider = async (
  program: string,
  args: readonly string[],
  { env, cwd, interrupts, onMessage, onError }: ProviderRun,
): Promise<void> => {
  const child = spawn(program, [...args], { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], signal: interrupts.signal });
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  // Awaited below; without this a failure before that would end the process.
  ended.catch(() => {});
  tellErrors(child.stderr, onError);
  let failure: string | undefined;
  let count = 0;
  try {
    for await (const line of linesOf(child.stdout)) {
      count += 1;
      const said = parseLine(line, program);
      if (count > MAX_MESSAGES) {
        throw new HyprError('PROVIDER_FAILED', `the provider ${program} says more than ${MAX_MESSAGES} messages`);
      }
      if (said?.type === 'error') {
        failure ??= said.message;
      } else if (said !== undefined) {
        onMessage(said);
      }
    }
  } catch (error) {
    // What nobody listens to any more must not go on making things.
    child.kill('SIGKILL');
    child.stdout.destroy();
    child.stderr.destroy();
    await ended.catch(() => {});
    throw error;
  }
  const [code, signal] = await ended.catch((error: unknown) => {
    interrupts.signal.throwIfAborted();
    throw new HyprError('PROVIDER_FAILED', `the provider ${program} cannot be started: ${messageOf(error)}`, { cause: error });
  });
  interrupts.signal.throwIfAborted();
  if (failure !== undefined || code !== 0) {
    throw new HyprError(
      'PROVIDER_FAILED',
      `the provider ${program} failed: ${failure ?? (signal === null ? `exit code ${code}` : signal)}`,
    );
  }
};

/** Lines of at most MAX_LINE bytes; a longer one comes as pieces. */
async function* linesOf(stream: Readable): AsyncGenerator<string> {
  const splitter = new LineSplitter({ most: MAX_LINE });
  for await (const chunk of stream) {
    yield* splitter.push(chunk as Buffer).map((line) => line.toString());
  }
  yield* splitter.flush().map((line) => line.toString());
}

/** Of a line that does not end only its end is shown, of a flood of lines the first ones. */
const tellErrors = (stream: Readable, onError: (line: string) => void): void => {
  const splitter = new LineSplitter({ most: MAX_ERROR_LINE, longer: 'end' });
  let left = MAX_ERROR_LINES;
  const tell = (lines: readonly Buffer[]): void => {
    for (const line of lines.slice(0, Math.max(0, left))) {
      onError(sanitiseLog(line.toString(), { color: false }));
    }
    if (left > 0 && lines.length >= left) {
      onError('(it says more, which is not shown)');
    }
    left -= lines.length;
  };
  stream.on('data', (chunk: Buffer) => tell(splitter.push(chunk)));
  stream.on('end', () => tell(splitter.flush()));
  stream.on('error', () => {});
};

const TYPES: ReadonlySet<unknown> = new Set(['info', 'error', 'debug', 'setenv', 'rawsetenv']);

const parseLine = (line: string, program: string): ProviderMessage | undefined => {
  if (line.trim() === '') {
    return undefined;
  }
  try {
    const json = JSON.parse(line) as Partial<ProviderMessage>;
    if (TYPES.has(json.type)) {
      return { type: json.type as ProviderMessage['type'], message: String(json.message ?? '') };
    }
  } catch {
    // Said below.
  }
  throw new HyprError('PROVIDER_FAILED', `the provider ${program} says something that is no message: ${sanitiseName(line.slice(0, 200))}`);
};
