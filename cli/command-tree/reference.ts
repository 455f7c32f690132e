import type { CommandSpec } from '../core/command-spec.ts';
import type { FlagSpec } from '../core/flag-spec.ts';
import { globalFlags } from './global.ts';

interface Named {
  readonly spec: CommandSpec;
  readonly path: string;
}

/** All commands that a user may type, depth first; `compose` and what only it has stand at the end. */
const commandsOf = (spec: CommandSpec, path: string): Named[] =>
  (spec.commands ?? [])
    .filter((child) => !child.hidden && child.refused === undefined)
    .flatMap((child) => {
      const name = `${path} ${child.name}`;
      return child.commands === undefined
        ? [{ spec: child, path: name }]
        : child.name === 'compose'
          ? composeOnly(spec, child, name)
          : commandsOf(child, name);
    });

/** `hypr compose` has the commands of `hypr`: only what it has beside them is told. */
const composeOnly = (root: CommandSpec, compose: CommandSpec, path: string): Named[] =>
  commandsOf({ ...compose, commands: (compose.commands ?? []).filter((child) => !root.commands?.includes(child)) }, path);

const shownFlags = (flags: readonly FlagSpec[]): FlagSpec[] => flags.filter((flag) => !flag.hidden);

const flagWords = ({ name, short, kind, value }: FlagSpec): string =>
  `${short ? `-${short}, ` : ''}--${name}${kind === 'bool' ? '' : ` ${value ?? 'VALUE'}`}`;

const noteOf = ({ ignored, refused }: FlagSpec): string =>
  refused ? ` Refused: ${refused}.` : ignored ? ` Accepted, does nothing: ${ignored}.` : '';

/** docs/commands.md: every command with its flags and examples. */
export const commandReference = (root: CommandSpec): string => {
  const all = commandsOf(root, root.name);
  const index = all.map(({ spec, path }) => `| [\`${path}\`](#${path.replaceAll(' ', '-')}) | ${escapeCell(spec.summary)} |`);
  const parts = all.map(({ spec, path }) =>
    [
      `## ${path}`,
      `${spec.summary}.`.replace(/\.\.$/, '.'),
      fenced([`${path} ${spec.usage}`.trimEnd()]),
      ...(spec.examples === undefined ? [] : [fenced(spec.examples)]),
      ...flagTable(shownFlags(spec.flags ?? [])),
    ].join('\n\n'),
  );
  return [
    '# Commands',
    '<!-- Written by `npm run generate` from the table of commands in cli/command-tree; test/cli/command-tree/reference.test.ts checks it. -->',
    `\`hypr compose COMMAND\` has the commands of docker compose under their own names, so that \`alias docker=hypr\` works. Options of every command stand before or behind it:`,
    ...flagTable(shownFlags(globalFlags)),
    ['| command | does |', '|---|---|', ...index].join('\n'),
    ...parts,
  ]
    .join('\n\n')
    .concat('\n');
};

const fenced = (lines: readonly string[]): string => lines.map((line) => `    ${line}`).join('\n');

const escapeCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

const flagTable = (flags: readonly FlagSpec[]): string[] =>
  flags.length === 0
    ? []
    : [
        [
          '| flag | does |',
          '|---|---|',
          ...flags.map((flag) => `| \`${escapeCell(flagWords(flag))}\` | ${escapeCell(flag.text + noteOf(flag))} |`),
        ].join('\n'),
      ];

/** hypr.1, for man(1): the same. */
export const manPage = (root: CommandSpec): string => {
  const flags = (list: readonly FlagSpec[]): string[] =>
    shownFlags(list).flatMap((flag) => ['.TP', `\\fB${roff(flagWords(flag))}\\fR`, roff(flag.text + noteOf(flag))]);
  const commands = commandsOf(root, root.name).flatMap(({ spec, path }) => [
    `.SS "${roff(path)} ${roff(spec.usage)}"`,
    `${roff(spec.summary)}.`,
    ...flags(spec.flags ?? []),
  ]);
  return `${[
    '.TH HYPR 1',
    '.SH NAME',
    `hypr \\- ${roff(root.summary)}`,
    '.SH SYNOPSIS',
    `\\fBhypr\\fR ${roff(root.usage)}`,
    '.SH EXAMPLES',
    '.nf',
    ...(root.examples ?? []).map(roff),
    '.fi',
    '.SH OPTIONS OF EVERY COMMAND',
    ...flags(globalFlags),
    '.SH COMMANDS',
    ...commands,
  ].join('\n')}\n`;
};

/** Text of a man page: no escape, no request at the start of a line (groff_man(7)). */
const roff = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/, '\\&$1')
    .replaceAll('"', '\\(dq');
