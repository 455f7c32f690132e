/** One flag as data: parsing, help and "no meaning here" warnings all come from it. */
export interface FlagSpec {
  readonly name: string;
  readonly short?: string;
  readonly kind: 'bool' | 'string' | 'list' | 'int';
  readonly text: string;
  /** The words it takes, where they are a fixed set. */
  readonly words?: readonly string[];
  /** Placeholder of the value in help. */
  readonly value?: string;
  /** Why it has no effect in a machine per service; reported once when the flag is used. */
  readonly ignored?: string;
  /** Why it is refused: pretending that it worked would be wrong. */
  readonly refused?: string;
  readonly hidden?: boolean;
}

type Extra = Partial<Omit<FlagSpec, 'name' | 'short' | 'kind' | 'text'>>;

const build =
  (kind: FlagSpec['kind']) =>
  (names: string, text: string, extra: Extra = {}): FlagSpec => {
    const parts = names.split(',');
    const name = parts.at(-1) ?? names;
    return { name, ...(parts.length > 1 && parts[0] ? { short: parts[0] } : {}), kind, text, ...extra };
  };

/** `bool('d,detach', 'Run in the background')`: short name first, then the long one. */
export const bool = build('bool');
export const string = build('string');
/** A flag that may be given several times. */
export const list = build('list');
export const int = build('int');
