import { HyprError } from '../../../base/errors.ts';

export const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q';

const SPECIAL: Readonly<Record<string, number>> = { '@': 0, '[': 27, '\\': 28, ']': 29, '^': 30, _: 31 };

/**
 * Looks for a sequence of keys in what is typed, as docker's `--detach-keys` has it: letters, or `ctrl-`
 * with a letter or one of `@[\]^_`, between commas. Keys that might begin it are held back.
 */
export class DetachKeys {
  readonly #sequence: readonly number[];
  #matched = 0;

  /** Throws HYPR_USAGE for what is no sequence of keys. */
  constructor(text: string) {
    this.#sequence = text.split(',').map(codeOf);
  }

  /** The bytes to pass on, and whether the sequence is complete; bytes after it are dropped. */
  read(data: Uint8Array): { readonly data: Uint8Array; readonly detach: boolean } {
    const out: number[] = [];
    for (const byte of data) {
      if (byte !== this.#sequence[this.#matched]) {
        out.push(...this.#sequence.slice(0, this.#matched));
        this.#matched = 0;
      }
      if (byte === this.#sequence[this.#matched]) {
        this.#matched += 1;
        if (this.#matched === this.#sequence.length) {
          this.#matched = 0;
          return { data: Uint8Array.from(out), detach: true };
        }
      } else {
        out.push(byte);
      }
    }
    return { data: Uint8Array.from(out), detach: false };
  }
}

const codeOf = (key: string): number => {
  const control = /^ctrl-(.)$/i.exec(key)?.[1];
  if (control !== undefined && /[a-z]/i.test(control)) {
    return control.toLowerCase().charCodeAt(0) - 96;
  }
  const special = control === undefined ? undefined : SPECIAL[control];
  if (special !== undefined) {
    return special;
  }
  if (/^[\x20-\x7e]$/.test(key)) {
    return key.charCodeAt(0);
  }
  throw new HyprError('HYPR_USAGE', `--detach-keys does not know "${key}"`, { hint: 'write keys between commas, such as ctrl-p,ctrl-q' });
};
