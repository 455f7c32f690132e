import { HyprError } from '../../base/errors.ts';
import { closest } from '../../compose/model/suggest.ts';
import type { SettingsApi } from '../../engine/model/command-options.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { SETTINGS, type SettingsFile } from '../core/settings.ts';
import { createKeyTable, KEY_SETTING } from '../dashboard/state/key-table.ts';
import { KEYS } from '../dashboard/state/keys.ts';
import { formatListing } from '../format/output.ts';

const COLUMNS = { Name: 'SETTING', Value: 'VALUE', Standard: 'STANDARD', Text: 'MEANS' };

interface Known {
  readonly name: string;
  readonly standard: string;
  readonly text: string;
  /** Undefined for keys. */
  readonly words?: readonly string[];
}

const KNOWN: readonly Known[] = [
  ...SETTINGS.map((spec) => ({
    ...spec,
    text: `${spec.text} (${spec.words.join(', ')}${spec.variable === undefined ? '' : `; ${spec.variable} comes first`})`,
  })),
  ...KEYS.map(({ action, keys, text }) => ({
    name: `${KEY_SETTING}${action}`,
    standard: keys.map((key) => (key === ' ' ? 'space' : key)).join(' '),
    text: `key of the dashboard: ${text}`,
  })),
];

/** The settings as `hypr serve --rest` has them. */
export const settingsApi = (file: SettingsFile): SettingsApi => ({
  list: () => {
    const settings = file.read();
    return KNOWN.map(({ name, standard, text }) => ({ name, value: settings[name] ?? standard, standard, text }));
  },
  change: async (values) => {
    const settings = { ...file.read() };
    for (const [name, value] of Object.entries(values)) {
      checkValue(known(name), value);
      delete settings[name];
      Object.assign(settings, value === null ? {} : { [name]: value });
    }
    createKeyTable(settings);
    await file.write(settings);
  },
});

/** Throws HYPR_USAGE for a word that the setting does not know. */
const checkValue = ({ name, words }: Known, value: string | null): void => {
  if (value !== null && words !== undefined && !words.includes(value)) {
    throw new HyprError('HYPR_USAGE', `${name} does not know "${value}"`, { hint: `use one of: ${words.join(', ')}` });
  }
};

/** `settings [list]`: every setting, its value and what it means. */
export const runSettingsList: Handler = async ({ context, flags }) => {
  const settings = context.settings.read();
  const rows = KNOWN.filter(({ name }) => !flags.bool('changed') || settings[name] !== undefined).map(({ name, standard, text }) => ({
    Name: name,
    Value: settings[name] ?? standard,
    Standard: standard,
    Text: text,
  }));
  context.stdout.write(formatListing({ columns: COLUMNS, rows, json: 'array' }, flags.string('format')));
  return 0;
};

/** `settings get NAME`. */
export const runSettingsGet: Handler = async ({ context, args: [name = ''] }) => {
  const { standard } = known(name);
  context.stdout.write(`${context.settings.read()[name] ?? standard}\n`);
  return 0;
};

/** `settings set NAME VALUE…`: what would not be understood is refused. */
export const runSettingsSet: Handler = async (invocation) => {
  const [name = '', ...values] = invocation.args;
  return change(invocation, { [name]: values.join(' ') });
};

/** `settings unset NAME`: the standard value again. */
export const runSettingsUnset: Handler = async (invocation) => {
  return change(invocation, { [invocation.args[0] ?? '']: null });
};

const change = async ({ context }: Invocation, values: Readonly<Record<string, string | null>>): Promise<number> => {
  await settingsApi(context.settings).change(values);
  return 0;
};

const known = (name: string): Known => {
  const found = KNOWN.find((each) => each.name === name);
  if (found === undefined) {
    const guess = closest(
      name,
      KNOWN.map((each) => each.name),
    );
    throw new HyprError('HYPR_USAGE', `there is no setting "${name}"`, {
      hint: guess === undefined ? 'hypr settings lists them' : `did you mean ${guess}? hypr settings lists all`,
    });
  }
  return found;
};
