import { runConfig } from '../compose/index.ts';
import { runProcess } from './process.ts';
import { parseCommandLine } from './program.ts';

/** Runs the command line if it is `config`; false, with nothing done, if it is another or wrong. */
export const runIfConfig = async (argv: readonly string[]): Promise<boolean> => {
  if (!isConfig(argv)) {
    return false;
  }
  await runProcess();
  return true;
};

const isConfig = (argv: readonly string[]): boolean => {
  try {
    const parsed = parseCommandLine(argv);
    return parsed.kind === 'run' && parsed.command.name === 'config' && parsed.command.refused === undefined;
  } catch {
    return false;
  }
};

/** Uses what every `config` uses, so that the code cache has it compiled. */
export const warmUp = async (text: string): Promise<void> => {
  parseCommandLine(['compose', 'config']);
  const stdin = () => Promise.resolve(Buffer.from(text));
  await runConfig({ cwd: '/', files: ['-'], env: {}, projectName: 'p', stdin });
};
