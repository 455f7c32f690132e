import { HyprError } from '../../../base/errors.ts';
import type { Settings } from '../../core/settings.ts';
import { type Action, isKeyName, KEYS, type KeyBinding } from './keys.ts';

/** The keys of the dashboard as this user has them. */
export interface KeyTable {
  readonly bindings: readonly KeyBinding[];
  actionOf(key: string): Action | undefined;
  /** How help shows the keys of an action. */
  labelOf(action: Action): string;
}

/** Settings of keys are called `keys.ACTION`; the value is one key or several, with blanks between. */
export const KEY_SETTING = 'keys.';

/** The table with the user's keys in place of the standard ones. Throws HYPR_USAGE for what is no key or no action, and for a key that two actions have. */
export const createKeyTable = (settings: Settings = {}): KeyTable => {
  const bindings = remap(settings);
  const byKey = new Map(bindings.flatMap(({ keys, action }) => keys.map((key) => [key, action] as const)));
  const labels = new Map(bindings.map(({ action, label }) => [action, label]));
  return { bindings, actionOf: (key) => byKey.get(key), labelOf: (action) => labels.get(action) ?? '' };
};

const remap = (settings: Settings): readonly KeyBinding[] => {
  const wanted = new Map(
    Object.entries(settings)
      .filter(([name]) => name.startsWith(KEY_SETTING))
      .map(([name, value]) => [actionNamed(name), parseKeys(name, value)] as const),
  );
  if (wanted.size === 0) {
    return KEYS;
  }
  const bindings = KEYS.map((binding) => {
    const keys = wanted.get(binding.action);
    return keys === undefined ? binding : { ...binding, keys, label: keys.map(shownKey).join(' ') };
  });
  const owners = new Map<string, Action>();
  for (const { action, keys } of bindings) {
    for (const key of keys) {
      const other = owners.get(key);
      if (other !== undefined) {
        throw new HyprError('HYPR_USAGE', `the key ${shownKey(key)} is for ${other} and for ${action}`, {
          hint: `give one of them another key first: hypr settings set ${KEY_SETTING}${wanted.has(other) ? action : other} KEY`,
        });
      }
      owners.set(key, action);
    }
  }
  return bindings;
};

const actionNamed = (name: string): Action => {
  const action = name.slice(KEY_SETTING.length);
  const found = KEYS.find((binding) => binding.action === action);
  if (found === undefined) {
    throw new HyprError('HYPR_USAGE', `the dashboard has no action ${action}`, {
      hint: `actions are: ${KEYS.map((binding) => binding.action).join(', ')}`,
    });
  }
  return found.action;
};

/** Ctrl-C and Ctrl-Z keep their meaning everywhere. */
const TAKEN: ReadonlySet<string> = new Set(['ctrl+c', 'ctrl+z']);

const parseKeys = (name: string, value: string): string[] => {
  const keys = value
    .split(/\s+/)
    .filter(Boolean)
    .map((key) => (key === 'space' ? ' ' : key));
  const wrong = keys.find((key) => TAKEN.has(key) || !(isKeyName(key) || /^ctrl\+[a-z]$/.test(key) || /^[\u0020-\u007e]$/.test(key)));
  if (keys.length === 0 || wrong !== undefined) {
    throw new HyprError('HYPR_USAGE', `${name}: ${wrong === undefined ? 'no key is named' : `"${wrong}" is no key that can be chosen`}`, {
      hint: 'a key is a character, space, ctrl+LETTER, or up, down, left, right, pageUp, pageDown, home, end, return, escape, tab, backspace',
    });
  }
  return keys;
};

const shownKey = (key: string): string =>
  key === ' ' ? 'space' : key.replace(/^ctrl\+(.)$/, (_, letter: string) => `^${letter.toUpperCase()}`);
