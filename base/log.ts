import { createWriteStream, type WriteStream } from 'node:fs';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface Logger {
  debug(message: string, facts?: object): void;
  info(message: string, facts?: object): void;
  warn(message: string, facts?: object): void;
  error(message: string, facts?: object): void;
}

let sink: WriteStream | undefined;

/** Sends log lines (JSON, one a line) to a file; without it they are dropped. The supervisor calls it once. */
export const logTo = (path: string): void => {
  sink?.end();
  sink = createWriteStream(path, { flags: 'a', mode: 0o600 });
  sink.on('error', () => {});
};

/** The logger of one module. `HYPR_LOG=info|hypr:net=debug` sets levels; default info. */
export const logger = (module: string): Logger => {
  const threshold = levelOf(module, process.env.HYPR_LOG ?? 'info');
  const write = (level: LogLevel) => (message: string, facts?: object) => {
    if (sink !== undefined && RANK[level] >= RANK[threshold]) {
      sink.write(`${JSON.stringify({ time: new Date().toISOString(), level, module, message, ...facts })}\n`);
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
