import type { Handler } from '../core/command-spec.ts';
import { writeOut } from '../core/output.ts';
import { projectOptions } from '../core/project.ts';

/** `env SERVICE [NAME]`: the environment of a service, each variable with the file and line that set it, and what it replaced. */
export const runEnv: Handler = async (invocation) => {
  const { context, args } = invocation;
  const [service = '', variable] = args;
  const prefix = `services.${service}.environment`;
  const explain = variable === undefined ? prefix : `${prefix}.${variable}`;
  const text = await context.config(projectOptions(invocation, [service]), { flags: { explain }, services: [service] });
  const lines = text.split('\n').map((line) => (line.startsWith(prefix) ? asVariable(line.slice(prefix.length)) : line));
  await writeOut(context.stdout, lines.join('\n'));
  return 0;
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
