import type { CommandSpec } from '../core/command-spec.ts';
import type { FlagSpec } from '../core/flag-spec.ts';
import { globalFlags } from './global.ts';

/** Help of a command: examples first, then usage, sub-commands and flags. */
export const formatHelp = (command: CommandSpec, path: readonly string[]): string => {
  const name = path.join(' ');
  const sections = [
    command.refused ? `${command.summary}: ${command.refused}` : command.summary,
    section(
      'Examples:',
      (command.examples ?? []).map((example) => `  ${example}`),
    ),
    section('Usage:', [`  ${name} ${command.usage}`.trimEnd()]),
    section('Commands:', commandLines(command)),
    section('Options:', flagLines(command.flags ?? [])),
    path.length === 1 ? section('Options of every command:', flagLines(globalFlags)) : '',
    path.length === 1 ? `Help on a command: ${name} COMMAND --help` : `Options of every command (-f, -p, --progress, …): ${path[0]} --help`,
  ];
  return `${sections.filter((text) => text !== '').join('\n\n')}\n`;
};

const section = (title: string, lines: readonly string[]): string => (lines.length === 0 ? '' : [title, ...lines].join('\n'));

const commandLines = (command: CommandSpec): string[] => {
  const shown = (command.commands ?? []).filter((child) => !child.hidden && child.refused === undefined);
  const width = Math.max(...shown.map((child) => child.name.length), 0);
  return shown.map((child) => `  ${child.name.padEnd(width)}  ${child.summary}`);
};

const flagLines = (flags: readonly FlagSpec[]): string[] => {
  const shown = flags.filter((flag) => !flag.hidden);
  const labels = shown.map(
    (flag) => `${flag.short ? `-${flag.short}, ` : '    '}--${flag.name}${flag.kind === 'bool' ? '' : ` ${flag.value ?? 'VALUE'}`}`,
  );
  const width = Math.min(Math.max(...labels.map((label) => label.length), 0), 34);
  return shown.map((flag, index) => `  ${(labels[index] ?? '').padEnd(width)}  ${flag.text}${flagNote(flag)}`);
};

const flagNote = (flag: FlagSpec): string => {
  if (flag.refused) {
    return ` (refused: ${flag.refused})`;
  }
  return flag.ignored ? ' (accepted, does nothing)' : '';
};
