import type { CliContext } from '../../core/context.ts';
import { isSpoken } from '../../core/style.ts';
import { type KeyByKey, keyByKey } from './key-by-key.ts';

const ENTER = '\u001b[?1049h\u001b[2J\u001b[H\u001b[?25l';
/** Bracketed paste is Ink's; it is ended here, too, for exits that do not wait for Ink. */
const LEAVE = '\u001b[?2004l\u001b[?25h\u001b[?1049l';
/** What is told stays where it is; only what is pasted is marked as such. */
const ENTER_SPOKEN = '\u001b[?2004h';
const LEAVE_SPOKEN = '\u001b[?2004l';

/**
 * The alternate screen with an Ink application. It is mounted again after a resize and after Ctrl-Z, because
 * the screen then no longer shows what Ink has drawn. Terminal restores the normal screen.
 */
export class Screen {
  readonly #context: CliContext;
  readonly #mount: (stdin: NodeJS.ReadStream) => () => void;
  #unmount: (() => void) | undefined;
  #leave: (() => void) | undefined;
  #keys: KeyByKey | undefined;
  /** For a screen reader there is no other screen, and no frame that a resize spoils. */
  readonly #isSpoken: boolean;
  #resizing: NodeJS.Timeout | undefined;

  /** @param mount - shows the application, which reads `stdin`; gives what ends it. */
  constructor(context: CliContext, mount: (stdin: NodeJS.ReadStream) => () => void) {
    this.#context = context;
    this.#mount = mount;
    this.#isSpoken = isSpoken(context);
  }

  enter(): void {
    const { stdout, terminal } = this.#context;
    this.#leave = terminal.enter({
      enter: () => stdout.write(this.#isSpoken ? ENTER_SPOKEN : ENTER),
      leave: () => {
        this.#context.stdin.setRawMode?.(false);
        stdout.write(this.#isSpoken ? LEAVE_SPOKEN : LEAVE);
      },
    });
    if (!this.#isSpoken) {
      stdout.on('resize', this.#onResize);
    }
    this.#keys = keyByKey(this.#context.stdin as NodeJS.ReadStream);
    this.#unmount = this.#mount(this.#keys.stdin);
  }

  leave(): void {
    clearTimeout(this.#resizing);
    this.#context.stdout.removeListener('resize', this.#onResize);
    this.#keys?.close();
    this.#unmount?.();
    this.#unmount = undefined;
    this.#leave?.();
    this.#leave = undefined;
    setImmediate(() => this.#stopReading());
  }

  /**
   * What is typed from now on is for whoever has the terminal next, the shell too: Ink stops listening, but Node would read on and throw
   * it away. In a later turn, because until then the stream takes Ink for one that listens.
   */
  #stopReading(): void {
    const { stdin } = this.#context;
    if (this.#leave === undefined && stdin.listenerCount('readable') + stdin.listenerCount('data') === 0) {
      stdin.pause();
    }
  }

  /** Ctrl-Z: gives the terminal back, stops the process as a shell expects, and comes back on `fg`. */
  suspend(): void {
    this.leave();
    process.once('SIGCONT', () => this.enter());
    process.kill(process.pid, 'SIGTSTP');
  }

  // A window being dragged sends many sizes; the last one counts.
  readonly #onResize = (): void => {
    clearTimeout(this.#resizing);
    this.#resizing = setTimeout(() => {
      this.#unmount?.();
      this.#context.stdout.write('\u001b[2J\u001b[H\u001b[?25l');
      this.#unmount = this.#keys && this.#mount(this.#keys.stdin);
    }, 50);
  };
}
