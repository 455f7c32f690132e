import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { onAbort } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { childEnv } from '../model/environment.ts';
import type { FolderChange } from '../model/machine.ts';

/** Others of the user's programs watch, too: their editor, for one. */
const PART_OF_LIMIT = 1 / 2;
const MOST_FOLDERS = 16_384;
/** A watcher is given so many at a time: what others may have depends on what each holds, not on how many there are. */
const STEP_FOLDERS = 64;
/** A path is at most 4,000 bytes. */
const LONGEST_RECORD = 8_192;

export interface WatchFolderInput {
  /** Compiled from vmm/jail/share.c. */
  readonly program: string;
  /** Absolute. */
  readonly path: string;
  /** Also what is inside of .git and node_modules. */
  readonly whole?: boolean;
  readonly signal: AbortSignal;
}

/**
 * What changes in a folder of this host and below it, until the signal aborts; inside of .git and node_modules nothing is
 * watched unless it is to be `whole`. Who is slow is told that news were lost. Throws VMM_START where the folder cannot be watched.
 */
export async function* watchFolder({ program, path, whole = false, signal }: WatchFolderInput): AsyncGenerator<FolderChange[]> {
  const limit = await readFile('/proc/sys/fs/inotify/max_user_watches', 'utf8').catch(() => '');
  let held = 0;
  /** How many it may watch now. What it holds is given back by its end. */
  const grow = (): number => {
    const more = Math.max(held, Math.min(held + STEP_FOLDERS, mostFolders(limit, heldByAll - held)));
    heldByAll += more - held;
    held = more;
    return held;
  };
  try {
    yield* watchGrowing(grow, { program, path, whole, signal });
  } finally {
    heldByAll -= held;
  }
}

/** How many folders the watchers of this process may watch now, together. */
let heldByAll = 0;

async function* watchGrowing(grow: () => number, { program, path, whole, signal }: WatchFolderInput): AsyncGenerator<FolderChange[]> {
  const child = spawn(program, [whole ? '--watch-whole' : '--watch', path, String(grow())], {
    cwd: '/',
    env: childEnv(),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // Its end is told by its output.
  child.stdin.on('error', () => {});
  const leave = onAbort(signal, () => child.kill('SIGKILL'));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1_000);
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject));
  // Awaited below; a program that is not there also ends the loop before.
  ended.catch(() => {});
  try {
    const decoder = new ChangeDecoder();
    for await (const chunk of child.stdout) {
      const changes = decoder.push(chunk as Buffer);
      if (decoder.takeAsk()) {
        child.stdin.write(`${grow()}\n`);
      }
      if (changes.length > 0) {
        yield changes;
      }
    }
    const code = await ended;
    if (code !== 0 && !signal.aborted) {
      throw new HyprError('VMM_START', said.trim().replace(/^fence: /, '') || `${path} is not watched any more`);
    }
  } finally {
    leave();
    child.kill('SIGKILL');
  }
}

/**
 * Pure: how many folders one share may have watched, by what the kernel allows a user, where those beside it have `others` watched. A guest makes as
 * many folders as it likes: each share leaves as many to further ones as it has itself, so that all of a stack together have less than half.
 */
export const mostFolders = (limit: string, others = 0): number => {
  const all = Number.parseInt(limit, 10);
  const part = ((Number.isNaN(all) ? 8_192 : all) * PART_OF_LIMIT - others) / 2;
  return Math.max(1, Math.min(MOST_FOLDERS, Math.floor(part)));
};

const KINDS: Readonly<Record<string, FolderChange['kind']>> = { w: 'written', n: 'appeared', g: 'gone', a: 'lost', l: 'limit', r: 'ready' };

/** Reads the records of vmm/jail/watch.h from chunks of any length. Throws HYPR_INTERNAL where there are none. */
export class ChangeDecoder {
  #rest: Buffer = Buffer.alloc(0);
  #asks = false;

  push(chunk: Buffer): FolderChange[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const changes: FolderChange[] = [];
    for (let end = bytes.indexOf(0); end !== -1; end = bytes.indexOf(0)) {
      const record = bytes.subarray(0, end);
      if (record.length === 1 && record[0] === ASKS) {
        this.#asks = true;
      } else {
        changes.push(readChange(record));
      }
      bytes = bytes.subarray(end + 1);
    }
    if (bytes.length > LONGEST_RECORD) {
      throw new HyprError('HYPR_INTERNAL', 'the watcher of a shared folder says what nobody understands');
    }
    this.#rest = Buffer.from(bytes);
    return changes;
  }

  /** Whether the watcher waits to be told how many folders it may watch; once for each time. */
  takeAsk(): boolean {
    const asks = this.#asks;
    this.#asks = false;
    return asks;
  }
}

const ASKS = 'm'.charCodeAt(0);

const readChange = (record: Buffer): FolderChange => {
  const kind = KINDS[String.fromCharCode(record[0] ?? 0)];
  if (kind === undefined) {
    throw new HyprError('HYPR_INTERNAL', 'the watcher of a shared folder says what nobody understands');
  }
  return { kind, path: record.toString('utf8', 1) };
};
