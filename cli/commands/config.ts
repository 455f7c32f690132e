import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { diskError } from '../../base/host/files.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import type { ConfigArgs } from '../core/context.ts';
import { writeOut } from '../core/output.ts';
import { projectOptions } from '../core/project.ts';

/** `config`: prints the loader's result to stdout or `--output`; does not load the engine. */
export const runConfig: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  flags.choice('format', ['yaml', 'json']);
  const text = await context.config(projectOptions(invocation, args), configArgs(invocation));
  const output = flags.string('output');
  if (output === undefined) {
    // Node's streams take 3 ms to load, and `--quiet` says nothing.
    if (text !== '') {
      await writeOut(context.stdout, text);
    }
    return 0;
  }
  const path = resolve(context.cwd, output);
  try {
    await writeFile(path, text);
  } catch (error) {
    throw diskError(error, path);
  }
  return 0;
};

/** The flags that were given, for the loader to read by name. */
const configArgs = ({ command, args, flags }: Invocation): ConfigArgs => {
  const given = flags.given().filter((flag) => command.flags?.includes(flag) && flag.name !== 'output');
  const values = given.map((flag) => [flag.name, flag.kind === 'bool' ? flags.bool(flag.name) : (flags.string(flag.name) ?? '')] as const);
  const compatibility = flags.bool('compatibility') ? [['compatibility', true] as const] : [];
  return { flags: Object.fromEntries([...values, ...compatibility]), services: args };
};
