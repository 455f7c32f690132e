import { HyprError } from '../../base/errors.ts';
import type { FlagSpec } from './flag-spec.ts';

export type FlagValues = Readonly<Record<string, unknown>>;

/**
 * The parsed flags of one command line, global ones included, read by long name and type. A name
 * that no command declares is a mistake of the program and throws.
 */
export class Flags {
  readonly #values: FlagValues;
  readonly #specs: ReadonlyMap<string, FlagSpec>;

  constructor(values: FlagValues, specs: ReadonlyMap<string, FlagSpec>) {
    this.#values = values;
    this.#specs = specs;
  }

  /** True when the flag was given and not `=false`. */
  bool(name: string): boolean {
    return this.#read(name) === true;
  }

  /** True, false, or undefined when the flag was not given. */
  tristate(name: string): boolean | undefined {
    const value = this.#read(name);
    return typeof value === 'boolean' ? value : undefined;
  }

  string(name: string): string | undefined {
    const value = this.#read(name);
    return typeof value === 'string' ? value : undefined;
  }

  list(name: string): readonly string[] {
    const value = this.#read(name);
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** A whole number; throws HYPR_USAGE for anything else. */
  int(name: string): number | undefined {
    const value = this.#read(name);
    if (typeof value !== 'string') {
      return undefined;
    }
    if (!/^-?\d{1,15}$/.test(value)) {
      throw new HyprError('HYPR_USAGE', `--${name} wants a whole number, not "${value}"`);
    }
    return Number(value);
  }

  /** One of the words, or undefined when the flag was not given; throws HYPR_USAGE for another word. */
  choice<T extends string>(name: string, words: readonly T[]): T | undefined {
    const value = this.string(name);
    const word = words.find((candidate) => candidate === value);
    if (value !== undefined && word === undefined) {
      throw new HyprError('HYPR_USAGE', `--${name} does not know "${value}"`, { hint: `use one of: ${words.join(', ')}` });
    }
    return word;
  }

  /** Throws HYPR_USAGE for a value that its flag cannot have, whether or not the command reads that flag. */
  check(): void {
    for (const { name, kind, words } of this.given()) {
      if (kind === 'int') {
        this.int(name);
      }
      if (words !== undefined) {
        this.choice(name, words);
      }
    }
  }

  /** Specs of the flags that were given, for warnings. */
  given(): FlagSpec[] {
    return [...this.#specs.values()].filter((spec) => this.#values[spec.name] !== undefined);
  }

  #read(name: string): unknown {
    if (!this.#specs.has(name)) {
      throw new HyprError('HYPR_INTERNAL', `no command declares the flag --${name}`);
    }
    return this.#values[name];
  }
}
