import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { type CliResult, hypr } from '../../support/cli.ts';

/** What goes wrong often, with what makes it happen. */
export interface Failure {
  /** Command lines of hypr; the last one is the one that fails. */
  readonly run: readonly string[];
  /** A single text is compose.yaml. */
  readonly files?: string | Readonly<Record<string, string>>;
  /** Made before: a port that somebody listens on, which stands in files and texts as PORT. */
  readonly takesPort?: boolean;
  /** Exit code, if it is not 1. */
  readonly code?: number;
}

/** A folder in which hypr is run, and its environment: TestStack is one. */
export interface Place {
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
  write(files: Readonly<Record<string, string>>): Promise<unknown>;
}

export interface Told {
  readonly result: CliResult;
  /** What a person sees, without what no two runs have alike: the command, what it says but for progress, and its exit code. */
  readonly text: string;
}

/** Makes a failure happen in a place that is empty. */
export const tellFailure = async (name: string, failure: Failure, place: Place): Promise<Told> => {
  const server = failure.takesPort === true ? await listen() : undefined;
  const port = server === undefined ? '' : String((server.address() as AddressInfo).port);
  try {
    const { files = {} } = failure;
    const written = Object.entries(typeof files === 'string' ? { 'compose.yaml': files } : files);
    await place.write(Object.fromEntries(written.map(([path, text]) => [path, text.replaceAll('PORT', port)])));
    const options = { cwd: place.dir, env: place.env };
    for (const line of failure.run.slice(0, -1)) {
      await hypr(line.split(' '), options);
    }
    const last = failure.run.at(-1) ?? '';
    const result = await hypr(last.replaceAll('PORT', port).split(' '), options);
    const words = [[place.dir, 'FOLDER'], ...(port === '' ? [] : [[port, 'PORT'] as const])] as Array<readonly [string, string]>;
    const lines = steady(`${result.stdout}${result.stderr}`, words)
      .split('\n')
      .filter((line) => line !== '' && !PROGRESS.test(line));
    return { result, text: [`# ${name}`, `$ hypr ${last}`, ...lines, `exit ${result.code}`, ''].join('\n') };
  } finally {
    server?.close();
  }
};

const listen = async (): Promise<Server> => {
  const server = createServer((socket) => void socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
};

/** Lines about images, networks, machines and steps of builds on their way. */
const PROGRESS = /^ (?:Image|Network|Volume|Container|Service|Template machine|[0-9a-f]{12}) |^#\d+ |^time=/;

/** Without folders, ports, pids, times and ids. */
const steady = (text: string, words: ReadonlyArray<readonly [string, string]>): string =>
  words
    .reduce((all, [from, to]) => all.replaceAll(from, to), text)
    .replace(/\(pid \d+[^)]*\)/g, '(pid N)')
    .replace(/\b\d+(?:\.\d+)? ?(?:ms|s|seconds|milliseconds)\b/g, 'TIME')
    .replace(/\b(?:less than a second|about a minute|\d+ (?:second|minute)s?)\b/gi, 'TIME')
    .replace(/sha256:[0-9a-f]{12,64}/g, 'sha256:ID')
    .replace(/booted in .*/g, 'booted in …')
    .replace(/127\.0\.0\.1:\d{4,5}\b/g, '127.0.0.1:NUMBER')
    // What registries beyond this host say depends on the network.
    .replace(/^ {2}https:\/\/(?!127\.).*\n/gm, '')
    // The code is at the right edge, and folders differ in length.
    .replace(/ {2,}(?=[A-Z_]{6,}$)/gm, '  ')
    .replace(/[ \t]+$/gm, '');
