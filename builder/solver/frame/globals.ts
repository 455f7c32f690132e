import { syntaxError } from '../../dockerfile/errors.ts';
import { ExpandError } from '../../dockerfile/expand.ts';
import type { Dockerfile } from '../../dockerfile/instruction.ts';
import type { BuildRequest } from '../../model/types.ts';
import { resolveArg } from './metadata.ts';
import { type Platform, platformArgs } from './platform.ts';

/** ARGs before the first FROM with their values; the predefined ones below them. */
export const resolveGlobals = (
  dockerfile: Dockerfile,
  request: Pick<BuildRequest, 'target' | 'buildArgs'>,
  platform: Platform,
): Map<string, string> => {
  const target = request.target || 'default';
  const predefined = Object.entries(platformArgs(platform, target)).map(([name, value]): [string, string] => [
    name,
    request.buildArgs[name] ?? value,
  ]);
  const globals = new Map(predefined);
  for (const { args, range } of dockerfile.globalArgs) {
    for (const arg of args) {
      try {
        const context = { escape: dockerfile.directives.escape, buildArgs: request.buildArgs, globals };
        const value = resolveArg(arg, (name) => globals.get(name), context);
        if (value !== undefined) {
          globals.set(arg.name, value);
        }
      } catch (error) {
        if (error instanceof ExpandError) {
          throw syntaxError(error.message, { file: dockerfile.file, line: range.line });
        }
        throw error;
      }
    }
  }
  return globals;
};
