import { readFileSync, statSync } from 'node:fs';
import { HyprError, isErrno, messageOf } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/host/files.ts';
import { PORT_MODES } from './modes.ts';

/** What the user has set, by name. */
export type Settings = Readonly<Record<string, string>>;

/** The settings file of this user. */
export interface SettingsFile {
  readonly path: string;
  /** Read each time it is asked. Throws HYPR_FILE for a file that is no settings file. */
  read(): Settings;
  write(settings: Settings): Promise<void>;
}

export interface SettingSpec {
  readonly name: string;
  readonly words: readonly string[];
  readonly standard: string;
  readonly text: string;
  /** The variable that comes before it. */
  readonly variable?: string;
}

const SWITCH = ['on', 'off'] as const;

/** Every setting but the keys of the dashboard (`keys.ACTION`); `hypr settings` and docs/settings.md are made from this table. */
export const SETTINGS: readonly SettingSpec[] = [
  {
    name: 'ports',
    words: PORT_MODES,
    standard: 'fixed',
    text: 'whether published ports that are taken move to the next free one, as `up --ports auto` does',
    variable: 'HYPR_PORTS',
  },
  {
    name: 'up',
    words: ['dashboard', 'stream'],
    standard: 'dashboard',
    text: 'what `up` shows on a terminal, where neither --ui nor --stream says it',
    variable: 'COMPOSE_MENU',
  },
  { name: 'dashboard.wrap', words: SWITCH, standard: 'off', text: 'the dashboard wraps long lines' },
  { name: 'dashboard.times', words: SWITCH, standard: 'off', text: 'the dashboard shows the time of each line' },
  { name: 'dashboard.pretty', words: SWITCH, standard: 'off', text: 'the dashboard takes lines of JSON apart' },
  {
    name: 'screen_reader',
    words: SWITCH,
    standard: 'off',
    text: 'the dashboard and progress are lines that are told once, for a screen reader; nothing is drawn over',
    variable: 'INK_SCREEN_READER',
  },
];

/** A setting of the table, or its standard value. Throws HYPR_USAGE for a word that it does not know. */
export const settingOf = (file: SettingsFile, name: string): string => {
  const spec = SETTINGS.find((each) => each.name === name);
  if (spec === undefined) {
    throw new HyprError('HYPR_INTERNAL', `there is no setting ${name}`);
  }
  const { [name]: value = spec.standard } = file.read();
  if (!spec.words.includes(value)) {
    throw new HyprError('HYPR_USAGE', `${file.path}: ${name} does not know "${value}"`, { hint: `use one of: ${spec.words.join(', ')}` });
  }
  return value;
};

const MOST = 64 * 1024;

/** A JSON object of strings; a file that does not exist has none. */
export const openSettings = (path: string): SettingsFile => ({
  path,
  read: () => {
    const text = readText(path);
    try {
      const read: unknown = text === undefined ? {} : JSON.parse(text);
      if (isSettings(read)) {
        return read;
      }
    } catch (error) {
      throw unreadable(path, messageOf(error));
    }
    throw unreadable(path, 'it is no object of strings');
  },
  write: (settings) => writeFileAtomic(path, `${JSON.stringify(settings, null, 2)}\n`, 0o600),
});

const readText = (path: string): string | undefined => {
  try {
    const found = statSync(path);
    if (!found.isFile() || found.size > MOST) {
      throw unreadable(path, 'it is no file, or much too large');
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return undefined;
    }
    throw error instanceof HyprError ? error : unreadable(path, messageOf(error));
  }
};

const isSettings = (value: unknown): value is Settings =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every((each) => typeof each === 'string');

const unreadable = (path: string, why: string): HyprError =>
  new HyprError('HYPR_FILE', `the settings in ${path} cannot be read: ${why}`, {
    hint: 'mend it, or remove it: every setting then has its standard value',
  });
