import type { CommandSpec } from '../core/command-spec.ts';
import { bool, string } from '../core/flag-spec.ts';

const list = {
  summary: 'Show every setting, its value and what it means',
  flags: [bool('changed', 'Only those that were set'), string('format', 'table, json, or a Go template', { value: 'FORMAT' })],
  maxArgs: 0,
  load: async () => (await import('../commands/settings.ts')).runSettingsList,
} satisfies Partial<CommandSpec>;

/** What is the same for all stacks of this user. */
export const settingsCommands: readonly CommandSpec[] = [
  {
    name: 'settings',
    usage: '[COMMAND]',
    ...list,
    summary: 'Settings of this user for all stacks: list, get, set, unset',
    commands: [
      {
        ...list,
        name: 'list',
        usage: '[OPTIONS]',
        examples: ['hypr settings list --changed', 'hypr settings set ports auto', 'hypr settings set keys.restart R'],
      },
      {
        name: 'get',
        usage: 'NAME',
        summary: 'Print the value of a setting',
        minArgs: 1,
        maxArgs: 1,
        load: async () => (await import('../commands/settings.ts')).runSettingsGet,
      },
      {
        name: 'set',
        usage: 'NAME VALUE...',
        summary: 'Set a setting; keys of the dashboard are called keys.ACTION',
        minArgs: 2,
        load: async () => (await import('../commands/settings.ts')).runSettingsSet,
      },
      {
        name: 'unset',
        usage: 'NAME',
        summary: 'Give a setting its standard value again',
        minArgs: 1,
        maxArgs: 1,
        load: async () => (await import('../commands/settings.ts')).runSettingsUnset,
      },
    ],
  },
];
