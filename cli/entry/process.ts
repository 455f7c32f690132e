import { join } from 'node:path';
import { logSeldom } from '../../base/log.ts';
import { homePaths } from '../../base/paths.ts';
import { flushTrace, traced, traceProcess } from '../../base/trace/trace.ts';
import { Interrupts } from '../core/interrupts.ts';
import { flush } from '../core/output.ts';
import { exitCodeOf, formatError } from '../core/print-error.ts';
import { Terminal } from '../core/terminal.ts';
import type { ProcessOutput } from './wiring.ts';

const SIGPIPE_CODE = 141;
const SIGHUP_CODE = 129;

const terminal = new Terminal();

/** Every way out of the process goes through here or through the `exit` listener: both restore the terminal. */
const leave = (code: number): never => {
  terminal.restore();
  process.exit(code);
};

const interrupts = new Interrupts(() => leave(130));

const crash = (error: unknown): never => {
  terminal.restore();
  const { env } = process;
  const stderr = output('stderr');
  const color = stderr.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  stderr.write(
    formatError(error, {
      color,
      json: false,
      unicode: true,
      columns: stderr.columns ?? 80,
      folds: stderr.isTTY === true && stderr.columns !== undefined,
    }),
  );
  return leave(exitCodeOf(error));
};

/** The reader has gone (`hypr logs | head`): exits as a program killed by SIGPIPE does. */
const onOutputError = (error: NodeJS.ErrnoException): void => {
  if (error.code === 'EPIPE' || error.code === 'EIO') {
    leave(SIGPIPE_CODE);
  }
  crash(error);
};

const made = new Set<NodeJS.WriteStream>();

/** Streams are created on first use, 2 ms each: most commands print nothing on stderr, some nothing at all. */
const output: ProcessOutput = (name) => {
  const stream = process[name];
  if (!made.has(stream)) {
    made.add(stream);
    stream.on('error', onOutputError);
  }
  return stream;
};

/** How long a command waits for a collector of traces. */
const SENDING_MS = 2000;

/** The verb alone: what else is on the line is nobody else's business. */
const spanOf = (argv: readonly string[]): string => {
  const words = argv.slice(0, argv.findIndex((word) => !/^[a-z]+(?:-[a-z]+)*$/.test(word)) >>> 0);
  return ['hypr', ...words.slice(0, GROUPS.has(words[0] ?? '') ? 2 : 1)].join(' ');
};

const GROUPS: ReadonlySet<string> = new Set('buildx compose container context image manifest network system volume'.split(' '));

/** Runs the command line of this process to its end: signals, streams, exit code. */
export const runProcess = async (): Promise<void> => {
  process.on('exit', () => terminal.restore());
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  process.on('SIGINT', () => interrupts.fire('SIGINT'));
  process.on('SIGTERM', () => interrupts.fire('SIGTERM'));
  process.on('SIGHUP', () => leave(SIGHUP_CODE));
  const argv = process.argv.slice(2);
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-v')) {
    const { HYPR_VERSION } = await import('../core/version.ts');
    output('stdout').write(`hypr version ${HYPR_VERSION}\n`);
    return;
  }
  logSeldom(() => join(homePaths().logs, 'commands.log'));
  traceProcess(`hypr ${argv.join(' ')}`.slice(0, 80));
  // What a command waits for may keep no process alive, and one that ends before its answer would have succeeded.
  const alive = setInterval(() => {}, 2 ** 30);
  const code = await traced(spanOf(argv), undefined, async () => {
    const [{ runCli }, { createContext }] = await Promise.all([import('./run.ts'), import('./wiring.ts')]);
    return runCli(argv, createContext({ terminal, interrupts, output }));
  });
  const unsent = await flushTrace(SENDING_MS);
  clearInterval(alive);
  if (unsent !== undefined) {
    output('stderr').write(`hypr: traces were not sent: ${unsent}\n`);
  }
  for (const stream of made) {
    await flush(stream);
  }
  leave(code);
};
