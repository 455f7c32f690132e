import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify, stripVTControlCharacters } from 'node:util';

export interface TmuxOptions {
  readonly columns: number;
  readonly rows: number;
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Why tmux cannot be used here; false where it can. */
export const missingTmux = (): string | false => {
  try {
    execFileSync('tmux', ['-V'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'no tmux; apt install tmux';
  }
};

const run = promisify(execFile);

/** A shell on a terminal of its own: a tmux server that nobody else has, which ends with it. */
export class Tmux {
  readonly #socket: string;
  readonly #folder: string;

  /** All that programs have written to the terminal. */
  readonly #record: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#record = join(folder, 'record');
    this.#socket = join(folder, 'socket');
  }

  static async open({ columns, rows, cwd, env = {} }: TmuxOptions): Promise<Tmux> {
    const tmux = new Tmux(mkdtempSync(join(tmpdir(), 'hypr-tmux-')));
    // CI and COMPOSE_MENU would keep the dashboard away; the rest of what tells a person's terminal is said here.
    const { CI: _ci, COMPOSE_MENU: _menu, NO_COLOR: _color, TMUX: _tmux, ...inherited } = process.env;
    const size = ['-x', String(columns), '-y', String(rows)];
    await run(
      'tmux',
      [
        '-S',
        tmux.#socket,
        '-f',
        '/dev/null',
        'new-session',
        '-d',
        ...size,
        '-c',
        cwd,
        'env PS1="$ " PROMPT_COMMAND= bash --norc --noprofile',
      ],
      { env: { ...inherited, LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', ...env } },
    );
    // What a program has drawn last is in the window; a bigger one would be cut to the size of no client.
    await tmux.#tmux('set-option', '-g', 'window-size', 'manual');
    await tmux.#tmux('pipe-pane', `cat > '${tmux.#record}'`);
    return tmux;
  }

  /** Types: a text as it is, or a key by tmux's name (`Enter`, `C-c`, `Escape`) with `key`. */
  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', text);
  }

  async key(...names: readonly string[]): Promise<void> {
    await this.#tmux('send-keys', ...names);
  }

  /** A line for the shell. */
  async line(text: string): Promise<void> {
    await this.type(text);
    await this.key('Enter');
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** The rows of the screen, without blanks at their ends. With `colours`, as escape sequences. */
  async screen({ colours = false } = {}): Promise<string[]> {
    const text = await this.#tmux('capture-pane', '-p', ...(colours ? ['-e'] : []));
    return text
      .split('\n')
      .slice(0, -1)
      .map((row) => row.trimEnd());
  }

  /** Waits until the screen has the text; gives its rows. */
  async until(wanted: string | RegExp, ms = 60_000): Promise<string[]> {
    const end = Date.now() + ms;
    for (;;) {
      const rows = await this.screen();
      const text = rows.join('\n');
      if (typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text)) {
        return rows;
      }
      if (Date.now() > end) {
        throw new Error(`the terminal has no ${wanted} after ${ms} ms:\n${text}`);
      }
      await sleep(100);
    }
  }

  /** Waits until the text was drawn at any time since the terminal was opened: for what may be gone again before anybody looks. */
  async drawn(wanted: string | RegExp, ms = 60_000): Promise<void> {
    const end = Date.now() + ms;
    const has = (text: string): boolean => (typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text));
    while (!has(stripVTControlCharacters(await readFile(this.#record, 'utf8').catch(() => '')))) {
      if (Date.now() > end) {
        throw new Error(`the terminal never had ${wanted} in ${ms} ms; it has:\n${(await this.screen()).join('\n')}`);
      }
      await sleep(200);
    }
  }

  /** Waits until no program has the alternate screen. */
  async normalScreen(ms = 60_000): Promise<void> {
    const end = Date.now() + ms;
    while ((await this.#tmux('display-message', '-p', '#{alternate_on}')).trim() !== '0') {
      if (Date.now() > end) {
        throw new Error(`a program has the alternate screen after ${ms} ms:\n${(await this.screen()).join('\n')}`);
      }
      await sleep(10);
    }
  }

  /** Pid of the shell. */
  async shell(): Promise<number> {
    return Number(await this.#tmux('display-message', '-p', '#{pane_pid}'));
  }

  async close(): Promise<void> {
    await this.#tmux('kill-server').catch(() => {});
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    return (await run('tmux', ['-S', this.#socket, ...args], { maxBuffer: 8 << 20 })).stdout;
  }
}
