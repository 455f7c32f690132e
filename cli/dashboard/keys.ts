export type Action =
  | 'down'
  | 'up'
  | 'focus'
  | 'back'
  | 'restart'
  | 'stop'
  | 'start'
  | 'kill'
  | 'shell'
  | 'open'
  | 'detach'
  | 'quit'
  | 'follow'
  | 'wrap'
  | 'timestamps'
  | 'top'
  | 'bottom'
  | 'pageUp'
  | 'pageDown'
  | 'search'
  | 'next'
  | 'previous'
  | 'filter'
  | 'all'
  | 'select'
  | 'mark'
  | 'clear'
  | 'copyLine'
  | 'copyView'
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

/** Every key of the dashboard; the help page is made from this table. */
export const KEYS: readonly KeyBinding[] = [
  { action: 'down', keys: ['j', 'down'], label: 'j ↓', text: 'next service, or one line down', group: 'Services' },
  { action: 'up', keys: ['k', 'up'], label: 'k ↑', text: 'previous service, or one line up', group: 'Services' },
  { action: 'focus', keys: ['return', 'tab', 'right'], label: 'Enter', text: 'move in the logs; Esc goes back', group: 'Services' },
  { action: 'back', keys: ['escape', 'left'], label: 'Esc', text: 'back to the services; ends a search or filter', group: 'Services' },
  { action: 'select', keys: [' '], label: 'Space', text: 'show the logs of this one together with others', group: 'Services' },
  { action: 'all', keys: ['0'], label: '0', text: 'show the logs of all services', group: 'Services' },
  { action: 'restart', keys: ['r'], label: 'r', text: 'restart', group: 'Services' },
  { action: 'stop', keys: ['s'], label: 's', text: 'stop', group: 'Services' },
  { action: 'start', keys: ['S'], label: 'S', text: 'start', group: 'Services' },
  { action: 'kill', keys: ['K'], label: 'K', text: 'kill', group: 'Services' },
  { action: 'shell', keys: ['e'], label: 'e', text: 'how to get a shell', group: 'Services' },
  { action: 'open', keys: ['o'], label: 'o', text: 'open the address in the browser', group: 'Services' },
  { action: 'follow', keys: ['f'], label: 'f', text: 'follow, or stand still', group: 'Logs' },
  { action: 'wrap', keys: ['w'], label: 'w', text: 'wrap long lines', group: 'Logs' },
  { action: 'timestamps', keys: ['t'], label: 't', text: 'times', group: 'Logs' },
  { action: 'search', keys: ['/'], label: '/', text: 'search', group: 'Logs' },
  { action: 'next', keys: ['n'], label: 'n', text: 'next older match', group: 'Logs' },
  { action: 'previous', keys: ['N'], label: 'N', text: 'next newer match', group: 'Logs' },
  { action: 'filter', keys: ['&'], label: '&', text: 'show matching lines only (! first: the others)', group: 'Logs' },
  { action: 'pageUp', keys: ['pageUp', 'u'], label: 'PgUp u', text: 'a page up', group: 'Logs' },
  { action: 'pageDown', keys: ['pageDown'], label: 'PgDn', text: 'a page down', group: 'Logs' },
  { action: 'top', keys: ['g', 'home'], label: 'g', text: 'oldest line', group: 'Logs' },
  { action: 'bottom', keys: ['G', 'end'], label: 'G', text: 'newest line, and follow', group: 'Logs' },
  { action: 'mark', keys: ['m'], label: 'm', text: 'draw a line here', group: 'Logs' },
  { action: 'clear', keys: ['ctrl+l'], label: '^L', text: 'clear', group: 'Logs' },
  { action: 'copyLine', keys: ['y'], label: 'y', text: 'copy the lowest line', group: 'Logs' },
  { action: 'copyView', keys: ['Y'], label: 'Y', text: 'copy the lines on screen', group: 'Logs' },
  { action: 'detach', keys: ['d'], label: 'd', text: 'leave; the stack goes on', group: 'Stack' },
  { action: 'quit', keys: ['q'], label: 'q', text: 'quit: asks whether to stop the stack', group: 'Stack' },
  { action: 'help', keys: ['?'], label: '?', text: 'this page', group: 'Stack' },
];

const BY_KEY = new Map(KEYS.flatMap((binding) => binding.keys.map((key) => [key, binding.action] as const)));

export const actionOfKey = (key: string): Action | undefined => BY_KEY.get(key);

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

/** One name for a key press: `up`, `ctrl+l`, or the character itself. */
export const nameOfKey = (input: string, key: InkKey): string => {
  const named = NAMED.find(([flag]) => key[flag]);
  if (named) {
    return named[1];
  }
  return key.ctrl ? `ctrl+${input}` : input;
};

const NAMES = new Set(NAMED.map(([, name]) => name));

/** Whether a name stands for a key without a character. */
export const isKeyName = (name: string): boolean => NAMES.has(name);
