import type { Place } from '../../base/errors.ts';
import { type Mark, placeOfMark, printable } from '../source/source.ts';

export type WarningKind = 'unset-variable' | 'old-boolean' | 'obsolete' | 'duplicate-port' | 'several-files' | 'ignored';

/** Something that is no error but that the user wants to know; `also` are the other places it speaks of. */
export interface Warning {
  readonly kind: WarningKind;
  readonly message: string;
  readonly where?: Place;
  readonly also: readonly Place[];
  readonly hint?: string;
}

/** Collects the warnings of one load; the same message for the same place is kept once. */
export class Warnings {
  readonly #all = new Map<string, Warning>();

  add(kind: WarningKind, message: string, mark?: Mark, options: { also?: readonly Mark[]; hint?: string } = {}): void {
    const where = mark === undefined ? undefined : placeOfMark(mark);
    const key = `${message}\n${where?.file}\n${where?.line}`;
    if (!this.#all.has(key) && this.#all.size < MAX_WARNINGS) {
      this.#all.set(key, {
        kind,
        message: printable(message),
        also: (options.also ?? []).map(placeOfMark),
        ...(where === undefined ? {} : { where }),
        ...(options.hint === undefined ? {} : { hint: options.hint }),
      });
    }
  }

  get all(): Warning[] {
    return [...this.#all.values()];
  }
}

const MAX_WARNINGS = 1000;
