import { HyprError } from '../../base/errors.ts';
import type { Handler } from '../core/command-spec.ts';
import { writeOut } from '../core/output.ts';
import { projectOptions } from '../core/project.ts';

/** `env SERVICE [NAME]`: the environment of a service, each variable with the file and line that set it, and what it replaced. */
export const runEnv: Handler = async (invocation) => {
  const { context, args } = invocation;
  const [service = '', variable] = args;
  const prefix = `services.${service}.environment`;
  const text = await context.config(projectOptions(invocation, [service]), { flags: { explain: prefix }, services: [service] });
  const lines = text.split('\n').map((line) => (line.startsWith(prefix) ? asVariable(line.slice(prefix.length)) : line));
  const shown = variable === undefined ? lines : linesOf(lines, variable);
  if (shown.length === 0) {
    throw new HyprError('HYPR_USAGE', `${service} has no variable ${variable}`, { hint: `hypr env ${service} shows all` });
  }
  await writeOut(context.stdout, `${shown.join('\n').trimEnd()}\n`);
  return 0;
};

/** The lines of one variable: its own, and those below that are indented. */
const linesOf = (lines: readonly string[], variable: string): string[] => {
  let isWanted = false;
  return lines.filter((line) => {
    isWanted = line.startsWith(' ') ? isWanted : line.startsWith(`${variable}=`) || line.startsWith(`${variable}:`);
    return isWanted;
  });
};

/** `[0]: "HOST=db"  # file:1` and `.PORT: "80"  # file:2`, as `config --explain` has them, are `HOST=db  # file:1` and `PORT=80  # file:2`. */
const asVariable = (line: string): string => {
  const [, name, json = '', rest = ''] = /^(?:\[\d+\]|\.([^:]+)): ("(?:[^"\\]|\\.)*")(.*)$/.exec(line) ?? [];
  if (json === '') {
    return line.replace(/^\./, '');
  }
  const value = JSON.parse(json) as string;
  return `${name === undefined || value.startsWith(`${name}=`) ? value : `${name}=${value}`}${rest}`;
};
