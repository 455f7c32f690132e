import { type SettingsFile, settingOf } from '../core/settings.ts';
import { createKeyTable } from './state/key-table.ts';
import type { ModelOptions } from './state/model.ts';

/** How the user wants the dashboard to begin. Throws HYPR_USAGE and HYPR_FILE for settings that are wrong. */
export const preferencesOf = (settings: SettingsFile): Pick<ModelOptions, 'keys' | 'ui'> => {
  const isOn = (name: string): boolean => settingOf(settings, name) === 'on';
  return {
    keys: createKeyTable(settings.read()),
    ui: { wrap: isOn('dashboard.wrap'), timestamps: isOn('dashboard.times'), pretty: isOn('dashboard.pretty') },
  };
};
