import { HyprError } from '../../base/errors.ts';
import type { CommandSpec, Handler } from '../core/command-spec.ts';

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

/** `completion SHELL` prints a script; what that asks is `__complete`, over the table of commands that `root` gives. */
export const completionCommands = (root: () => CommandSpec): readonly CommandSpec[] => [
  {
    name: 'completion',
    usage: SHELLS.join('|'),
    summary: 'Print a script that completes commands, flags and names in a shell',
    examples: ['source <(hypr completion bash)', 'hypr completion fish > ~/.config/fish/completions/hypr.fish'],
    minArgs: 1,
    maxArgs: 1,
    load: async () => printScript,
  },
  {
    name: '__complete',
    usage: '[WORD...]',
    summary: 'What may stand in place of the last word',
    hidden: true,
    passThrough: true,
    load: async () => complete(root()),
  },
];

const printScript: Handler = async ({ context, args: [shell = ''] }) => {
  const { COMPLETION_SCRIPTS } = await import('./completion-scripts.ts');
  const script = COMPLETION_SCRIPTS[shell];
  if (script === undefined) {
    throw new HyprError('HYPR_USAGE', `there is no completion for "${shell}"`, { hint: `shells are: ${SHELLS.join(', ')}` });
  }
  context.stdout.write(script);
  return 0;
};

const complete =
  (root: CommandSpec): Handler =>
  async ({ context, args }) => {
    const [{ completeWords }, { lookUpNames }] = await Promise.all([import('./complete.ts'), import('../commands/complete.ts')]);
    const words = args[0] === '--' ? args.slice(1) : args;
    const { candidates, names, paths, flags } = completeWords(root, words);
    const current = (words.at(-1) ?? '').replace(/^--[\w-]+=/, '');
    const found = names.length === 0 ? [] : await lookUpNames({ names, flags }, context);
    const start = words.at(-1) ?? '';
    const lines = [
      ...candidates.filter(({ value }) => value.startsWith(start)).map(({ value, text }) => `${value}\t${text}`),
      ...found.filter((name) => name.startsWith(current)).map((name) => `${start.slice(0, start.length - current.length)}${name}\t`),
    ];
    context.stdout.write(`${[...lines, `:${paths ?? 'none'}`].join('\n')}\n`);
    return 0;
  };
