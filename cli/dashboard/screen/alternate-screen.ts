import type { CliContext } from '../../core/context.ts';

const ENTER = '\u001b[?1049h\u001b[2J\u001b[H\u001b[?25l';
/** Bracketed paste is Ink's; it is ended here, too, for exits that do not wait for Ink. */
const LEAVE = '\u001b[?2004l\u001b[?25h\u001b[?1049l';

/**
 * The alternate screen with an Ink application. It is mounted again after a resize and after Ctrl-Z, because
 * the screen then no longer shows what Ink has drawn. Terminal restores the normal screen.
 */
export class Screen {
  readonly #context: CliContext;
  readonly #mount: () => () => void;
  #unmount: (() => void) | undefined;
  #leave: (() => void) | undefined;
  #resizing: NodeJS.Timeout | undefined;

  constructor(context: CliContext, mount: () => () => void) {
    this.#context = context;
    this.#mount = mount;
  }

  enter(): void {
    const { stdout, terminal } = this.#context;
    this.#leave = terminal.enter({
      enter: () => stdout.write(ENTER),
      leave: () => {
        this.#context.stdin.setRawMode?.(false);
        stdout.write(LEAVE);
      },
    });
    stdout.on('resize', this.#onResize);
    this.#unmount = this.#mount();
  }

  leave(): void {
    clearTimeout(this.#resizing);
    this.#context.stdout.removeListener('resize', this.#onResize);
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
      this.#unmount = this.#mount();
    }, 50);
  };
}
