import type { CommandSpec } from '../core/command-spec.ts';
import type { FlagSpec } from '../core/flag-spec.ts';
import { globalFlags } from './global.ts';

export interface Candidate {
  readonly value: string;
  readonly text: string;
}

/** What names a word may be that only the stack or the store knows. */
export type NameKind = 'service' | 'replica' | 'image' | 'volume' | 'network' | 'stack' | 'profile';

export interface Completion {
  /** Known from the table of commands. */
  readonly candidates: readonly Candidate[];
  /** Names to look up. */
  readonly names: readonly NameKind[];
  /** A path of this host. */
  readonly paths: 'files' | 'folders' | undefined;
  /** Values of global flags before the word: which stack it is about. */
  readonly flags: Readonly<Record<string, readonly string[]>>;
}

/** What may stand in place of the last of the words after `hypr`, which may be empty. Pure: looks nothing up. */
export const completeWords = (root: CommandSpec, words: readonly string[]): Completion => {
  const current = words.at(-1) ?? '';
  const walk = new Walk(root);
  for (const word of words.slice(0, -1)) {
    walk.step(word);
  }
  const { spec, awaiting } = walk;
  if (awaiting !== undefined) {
    return { ...valuesOf(awaiting), flags: walk.flags };
  }
  const assigned = /^(--[\w-]+)=/.exec(current)?.[1];
  const flag = assigned === undefined || walk.isProgram ? undefined : findFlag(spec, assigned);
  if (flag !== undefined) {
    const { candidates, ...rest } = valuesOf(flag);
    return { ...rest, candidates: candidates.map(({ value, text }) => ({ value: `${assigned}=${value}`, text })), flags: walk.flags };
  }
  if (current.startsWith('-') && !walk.isProgram) {
    return { ...NOTHING, candidates: flagCandidates(spec), flags: walk.flags };
  }
  return { ...(walk.isProgram ? FILES : placeOf(spec, walk.places, words)), flags: walk.flags };
};

const NOTHING: Omit<Completion, 'flags'> = { candidates: [], names: [], paths: undefined };
const FILES: Omit<Completion, 'flags'> = { ...NOTHING, paths: 'files' };

/** Goes through the words before the one that is completed. */
class Walk {
  spec: CommandSpec;
  /** The flag whose value comes next. */
  awaiting: FlagSpec | undefined;
  /** How many places of the command's usage are taken. */
  places = 0;
  /** The rest belongs to a program. */
  isProgram = false;
  readonly flags: Record<string, string[]> = {};
  #noFlags = false;

  constructor(root: CommandSpec) {
    this.spec = root;
  }

  step(word: string): void {
    if (this.awaiting !== undefined) {
      this.#note(this.awaiting, word);
      this.awaiting = undefined;
    } else if (word === '--') {
      this.#noFlags = true;
    } else if (word.startsWith('-') && word !== '-' && !this.#noFlags) {
      this.#stepFlag(word);
    } else {
      this.#stepWord(word);
    }
  }

  #stepFlag(word: string): void {
    const [name = word, ...value] = word.split('=');
    const flag = findFlag(this.spec, name);
    if (flag === undefined || flag.kind === 'bool') {
      return;
    }
    if (value.length > 0) {
      this.#note(flag, value.join('='));
    } else if (name.startsWith('--') || word.length === 2) {
      this.awaiting = flag;
    }
  }

  #stepWord(word: string): void {
    const child = this.spec.commands?.find(({ name }) => name === word);
    if (child !== undefined) {
      this.spec = child;
      return;
    }
    this.places += 1;
    this.isProgram = this.spec.passThrough === true;
  }

  #note(flag: FlagSpec, value: string): void {
    this.flags[flag.name] = [...(this.flags[flag.name] ?? []), value];
  }
}

const flagsOf = (spec: CommandSpec): FlagSpec[] => {
  const own = spec.flags ?? [];
  return [...own, ...globalFlags.filter(({ name }) => !own.some((flag) => flag.name === name))];
};

const findFlag = (spec: CommandSpec, word: string): FlagSpec | undefined =>
  flagsOf(spec).find(
    ({ name, short }) => word === `--${name}` || (short !== undefined && word.slice(0, 2) === `-${short}` && !word.startsWith('--')),
  );

const flagCandidates = (spec: CommandSpec): Candidate[] =>
  flagsOf(spec)
    .filter((flag) => !flag.hidden && flag.refused === undefined && flag.ignored === undefined)
    .map(({ name, text }) => ({ value: `--${name}`, text }));

/** Flags whose values are names, by name. */
const FLAG_NAMES: Readonly<Record<string, NameKind>> = {
  'project-name': 'stack',
  profile: 'profile',
  network: 'network',
  attach: 'service',
  'no-attach': 'service',
  'exit-code-from': 'service',
  'cache-from': 'image',
};
const FLAG_WORDS: Readonly<Record<string, readonly string[]>> = {
  format: ['table', 'json'],
  status: ['running', 'exited', 'restarting', 'paused', 'created', 'dead'],
  pull: ['always', 'missing', 'never'],
  rmi: ['local', 'all'],
};

const valuesOf = ({ name, value, words }: FlagSpec): Omit<Completion, 'flags'> => {
  const kind = FLAG_NAMES[name];
  const fixed = words ?? FLAG_WORDS[name];
  if (fixed !== undefined) {
    return { ...NOTHING, candidates: fixed.map((word) => ({ value: word, text: '' })) };
  }
  if (kind !== undefined) {
    return { ...NOTHING, names: [kind] };
  }
  return /^(FILE|PATH)/.test(value ?? '') ? FILES : /^DIR/.test(value ?? '') ? { ...NOTHING, paths: 'folders' } : NOTHING;
};

/** What stands in a place of a command's usage: `[SERVICE...]`, `SERVICE COMMAND [ARGS...]`, `SERVICE:SRC_PATH DEST_PATH|-`. */
const placeOf = (spec: CommandSpec, place: number, words: readonly string[]): Omit<Completion, 'flags'> => {
  if (spec.commands !== undefined) {
    const shown = spec.commands.filter((child) => !child.hidden && child.refused === undefined);
    const help = words.length === 1 ? [{ value: 'help', text: 'Help on a command' }] : [];
    return { ...NOTHING, candidates: [...shown.map(({ name, summary }) => ({ value: name, text: summary })), ...help] };
  }
  const places = spec.usage.split(' ').filter((word) => !/OPTIONS/.test(word));
  const last = places.at(-1);
  const word = places[place] ?? (last?.includes('...') ? last : undefined) ?? '';
  return kindOf(word);
};

const kindOf = (place: string): Omit<Completion, 'flags'> => {
  if (/PATH/.test(place)) {
    return { ...FILES, names: /SERVICE/.test(place) ? ['service'] : [] };
  }
  const names: Array<readonly [RegExp, readonly NameKind[]]> = [
    [/SERVICE/, ['service']],
    [/REPLICA|CONTAINER|ID\b/, ['replica', 'image', 'volume', 'network']],
    [/IMAGE|REPOSITORY/, ['image']],
    [/VOLUME/, ['volume']],
    [/NETWORK/, ['network']],
  ];
  const found = names.find(([pattern]) => pattern.test(place))?.[1] ?? [];
  return { ...NOTHING, names: /^\[?REPLICA/.test(place) ? ['replica'] : found };
};
