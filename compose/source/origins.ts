import type { Mark } from './source.ts';

/** One value of a variable; without a mark it comes from the process's environment. */
export interface VariableOrigin {
  readonly value: string;
  readonly mark?: Mark;
}

/** Where variables get their values, for `config --explain`: the first source wins. */
export class Origins {
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #fromFiles = new Map<string, VariableOrigin[]>();

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  /** Adds the values of files that were read together: among them the later file wins, but earlier calls win over later ones. */
  addFiles(values: ReadonlyArray<{ name: string; value: string; mark: Mark }>): void {
    for (const { name, value, mark } of [...values].reverse()) {
      const known = this.#fromFiles.get(name) ?? [];
      const isKnown = known.some((other) => other.mark?.source.path === mark.source.path && other.mark.offset === mark.offset);
      this.#fromFiles.set(name, isKnown ? known : [...known, { value, mark }]);
    }
  }

  /** The value that is used, then those that are not. */
  of(name: string): VariableOrigin[] {
    const value = this.#environment[name];
    return [...(value === undefined ? [] : [{ value }]), ...(this.#fromFiles.get(name) ?? [])];
  }
}
