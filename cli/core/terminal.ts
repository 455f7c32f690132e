/** What a mode of the terminal costs to undo. */
export interface TerminalMode {
  readonly enter: () => void;
  readonly leave: () => void;
}

/**
 * The one place that changes modes of the terminal (alternate screen, hidden cursor, raw input) and
 * puts them back. `restore` runs on every way out of the process, crash and SIGHUP included.
 */
export class Terminal {
  #modes: TerminalMode[] = [];

  /** Enters a mode; the returned function leaves it, once. `kept`: the mode stays as it is, for whoever goes on and will undo it. */
  enter(mode: TerminalMode): (kept?: 'kept') => void {
    this.#modes.push(mode);
    mode.enter();
    return (kept) => {
      if (kept === undefined) {
        this.#leave(mode);
      } else {
        this.#modes = this.#modes.filter((candidate) => candidate !== mode);
      }
    };
  }

  /** Leaves every mode that is still entered, last one first. Never throws: it runs while things fall apart. */
  restore(): void {
    for (let mode = this.#modes.at(-1); mode !== undefined; mode = this.#modes.at(-1)) {
      try {
        this.#leave(mode);
      } catch {
        // The terminal may be gone (SIGHUP); the other modes still deserve their turn.
      }
    }
  }

  #leave(mode: TerminalMode): void {
    if (this.#modes.includes(mode)) {
      this.#modes = this.#modes.filter((candidate) => candidate !== mode);
      mode.leave();
    }
  }
}
