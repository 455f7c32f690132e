import type { Mark } from './source.ts';

/** One value that a variable was given; without a mark by the process's environment. */
export interface VariableOrigin {
  readonly value: string;
  readonly mark?: Mark;
}

/** Who gives variables their values, for `config --explain`: whoever comes first wins. */
export class Origins {
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #fromFiles = new Map<string, VariableOrigin[]>();

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  /** What files of one reading said, in their order; later ones win among them, earlier readings over later. */
  addFiles(values: ReadonlyArray<{ name: string; value: string; mark: Mark }>): void {
    for (const { name, value, mark } of [...values].reverse()) {
      const known = this.#fromFiles.get(name) ?? [];
      const isKnown = known.some((other) => other.mark?.source.path === mark.source.path && other.mark.offset === mark.offset);
      this.#fromFiles.set(name, isKnown ? known : [...known, { value, mark }]);
    }
  }

  /** The winner, then what lost. */
  of(name: string): VariableOrigin[] {
    const value = this.#environment[name];
    return [...(value === undefined ? [] : [{ value }]), ...(this.#fromFiles.get(name) ?? [])];
  }
}
