export type Action =
  | 'down'
  | 'up'
  | 'focus'
  | 'back'
  | 'select'
  | 'all'
  | 'why'
  | 'restart'
  | 'stop'
  | 'start'
  | 'kill'
  | 'pause'
  | 'rebuild'
  | 'scale'
  | 'shell'
  | 'attach'
  | 'open'
  | 'follow'
  | 'wrap'
  | 'timestamps'
  | 'pretty'
  | 'search'
  | 'next'
  | 'previous'
  | 'filter'
  | 'pageUp'
  | 'pageDown'
  | 'top'
  | 'bottom'
  | 'mark'
  | 'clear'
  | 'copyLine'
  | 'copyView'
  | 'raw'
  | 'watch'
  | 'objects'
  | 'remove'
  | 'prune'
  | 'graph'
  | 'palette'
  | 'detach'
  | 'quit'
  | 'help';

export interface KeyBinding {
  readonly action: Action;
  /** Characters, or names of keys as returned by `nameOfKey`. */
  readonly keys: readonly string[];
  /** How help shows the keys. */
  readonly label: string;
  readonly text: string;
  readonly group: 'Services' | 'Logs' | 'Stack';
}

type Row = readonly [action: Action, keys: readonly string[], label: string, text: string];

const group = (name: KeyBinding['group'], rows: readonly Row[]): KeyBinding[] =>
  rows.map(([action, keys, label, text]) => ({ action, keys, label, text, group: name }));

/** Every key of the dashboard as it is without settings; the help page, the palette and `hypr settings` are made from this table. */
export const KEYS: readonly KeyBinding[] = [
  ...group('Services', [
    ['down', ['j', 'down'], 'j ↓', 'next service, or one line down'],
    ['up', ['k', 'up'], 'k ↑', 'previous service, or one line up'],
    ['focus', ['return', 'tab', 'right'], 'Enter', 'move in the logs; Esc goes back'],
    ['back', ['escape', 'left'], 'Esc', 'back to the services; ends search and filter'],
    ['select', [' '], 'Space', 'show its logs together with others'],
    ['all', ['0'], '0', 'logs of all services, or of this one'],
    ['why', ['i'], 'i', 'why it does not run or is not ready; its start'],
    ['restart', ['r'], 'r', 'restart'],
    ['stop', ['s'], 's', 'stop'],
    ['start', ['S'], 'S', 'start'],
    ['kill', ['K'], 'K', 'kill'],
    ['pause', ['P'], 'P', 'pause, or go on'],
    ['rebuild', ['b'], 'b', 'build its image again and replace it'],
    ['scale', ['+'], '+', 'how many replicas'],
    ['shell', ['e'], 'e', 'a shell in it; exit comes back'],
    ['attach', ['a'], 'a', 'attach to its program; Ctrl-P Ctrl-Q comes back'],
    ['open', ['o'], 'o', 'open the address in the browser'],
  ]),
  ...group('Logs', [
    ['follow', ['f'], 'f', 'follow, or pause'],
    ['wrap', ['W'], 'W', 'wrap long lines'],
    ['timestamps', ['t'], 't', 'times'],
    ['pretty', ['p'], 'p', 'lines of JSON taken apart'],
    ['search', ['/'], '/', 'search'],
    ['next', ['n'], 'n', 'next older match'],
    ['previous', ['N'], 'N', 'next newer match'],
    ['filter', ['&'], '&', 'only lines with a text (! first: without it)'],
    ['pageUp', ['pageUp', 'u'], 'PgUp u', 'a page up'],
    ['pageDown', ['pageDown'], 'PgDn', 'a page down'],
    ['top', ['g', 'home'], 'g', 'the very first line, also of earlier runs'],
    ['bottom', ['G', 'end'], 'G', 'newest line, and follow'],
    ['mark', ['m'], 'm', 'draw a line here'],
    ['clear', ['ctrl+l'], '^L', 'clear'],
    ['copyLine', ['y'], 'y', 'copy the lowest line'],
    ['copyView', ['Y'], 'Y', 'copy the lines on screen'],
    ['raw', ['v'], 'v', 'the plain lines, to select with the mouse'],
  ]),
  ...group('Stack', [
    ['watch', ['w'], 'w', 'watch files as `develop:` says, or stop that'],
    ['graph', ['x'], 'x', 'what waits for what, and what took longest'],
    ['objects', ['V'], 'V', 'volumes, networks and images'],
    ['remove', ['D'], 'D', 'there: remove one'],
    ['prune', ['X'], 'X', 'there: remove all that nothing uses'],
    ['palette', [':'], ':', 'find an action by its name'],
    ['detach', ['d'], 'd', 'leave; the stack goes on'],
    ['quit', ['q'], 'q', 'quit: asks whether to stop the stack'],
    ['help', ['?'], '?', 'this page'],
  ]),
];

/** A key press as Ink reports it. */
export interface InkKey {
  readonly upArrow: boolean;
  readonly downArrow: boolean;
  readonly leftArrow: boolean;
  readonly rightArrow: boolean;
  readonly pageUp: boolean;
  readonly pageDown: boolean;
  readonly return: boolean;
  readonly escape: boolean;
  readonly tab: boolean;
  readonly backspace: boolean;
  readonly delete: boolean;
  readonly ctrl: boolean;
  readonly meta: boolean;
  readonly home?: boolean;
  readonly end?: boolean;
}

const NAMED: ReadonlyArray<readonly [keyof InkKey, string]> = [
  ['upArrow', 'up'],
  ['downArrow', 'down'],
  ['leftArrow', 'left'],
  ['rightArrow', 'right'],
  ['pageUp', 'pageUp'],
  ['pageDown', 'pageDown'],
  ['home', 'home'],
  ['end', 'end'],
  ['return', 'return'],
  ['escape', 'escape'],
  ['tab', 'tab'],
  ['backspace', 'backspace'],
  ['delete', 'backspace'],
];

const NAMES = new Set(NAMED.map(([, name]) => name));

/** Whether a name stands for a key without a character. */
export const isKeyName = (name: string): boolean => NAMES.has(name);

/**
 * The keys in what Ink reports at once, by name: `up`, `ctrl+l`, or the character itself. Keys that are pressed faster than they are read
 * come as one text, an Escape and the key after it as Alt, which nothing here has.
 */
export const keysOf = (input: string, key: InkKey): string[] => {
  const named = NAMED.find(([flag]) => key[flag])?.[1];
  const keys = named !== undefined ? [named] : key.ctrl ? [`ctrl+${input}`] : [...input].map(nameOfCharacter);
  return key.meta && (named === undefined || IN_A_TEXT.has(named)) ? ['escape', ...keys] : keys;
};

const IN_A_TEXT: ReadonlySet<string> = new Set(['return', 'tab', 'backspace']);

const nameOfCharacter = (character: string): string => {
  if (character === '\r' || character === '\n') {
    return 'return';
  }
  if (character === '\t') {
    return 'tab';
  }
  if (character === '\b' || character === '\u007f') {
    return 'backspace';
  }
  return character < ' ' ? `ctrl+${String.fromCharCode(character.charCodeAt(0) + 96)}` : character;
};
