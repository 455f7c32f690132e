import { appendFileSync, createWriteStream, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface Logger {
  debug(message: string, facts?: object): void;
  info(message: string, facts?: object): void;
  warn(message: string, facts?: object): void;
  error(message: string, facts?: object): void;
}

interface Sink {
  write(line: string): void;
  end?(): void;
}

let sink: Sink | undefined;
/** Where nothing is said: everything but `debug`, in a command warnings and errors only. */
let usual: LogLevel = 'info';

/** Sends log lines (JSON, one a line) to a file; without it they are dropped. The supervisor calls it once. */
export const logTo = (path: string): void => {
  sink?.end?.();
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
  stream.on('error', () => {});
  sink = stream;
  usual = 'info';
};

/**
 * The same for a command, which has seldom anything to say: warnings and errors, unless HYPR_LOG says otherwise. The file, which all commands
 * share, is made with its first line, and begun anew at a megabyte. `path` is asked then.
 */
export const logSeldom = (path: () => string): void => {
  sink = { write: (line) => appendLine(path, line) };
  usual = 'warn';
};

const MAX_BYTES = 1 << 20;

/** At once, because a command may end at any moment. A home that is not there is not made for it, and a full disk is no reason to fail. */
const appendLine = (path: () => string, line: string): void => {
  try {
    const file = path();
    makeFolder(dirname(file));
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > MAX_BYTES) {
      renameSync(file, `${file}.1`);
    }
    appendFileSync(file, line, { mode: 0o600 });
  } catch {
    // Whoever looks for it finds nothing; the command itself goes on.
  }
};

const makeFolder = (folder: string): void => {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) {
    mkdirSync(folder, { mode: 0o700 });
  }
};

/** The logger of one module. `HYPR_LOG=info|hypr:net=debug` sets levels. */
export const logger = (module: string): Logger => {
  const setting = process.env.HYPR_LOG;
  const set = setting === undefined ? undefined : levelOf(module, setting);
  const write = (level: LogLevel) => (message: string, facts?: object) => {
    if (sink !== undefined && RANK[level] >= RANK[set ?? usual]) {
      sink.write(`${JSON.stringify({ time: new Date().toISOString(), level, pid: process.pid, module, message, ...facts })}\n`);
    }
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
};

const levelOf = (module: string, setting: string): LogLevel => {
  let level: LogLevel = 'info';
  for (const part of setting.split(/[,|]/)) {
    const [name, value] = part.includes('=') ? part.split('=') : [undefined, part];
    const applies = name === undefined || name === `hypr:${module}` || name === module;
    if (applies && value !== undefined && value in RANK) {
      level = value as LogLevel;
    }
  }
  return level;
};
