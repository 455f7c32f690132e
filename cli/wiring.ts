import { homedir } from 'node:os';
import { formatPlace } from '../base/errors.ts';
import { sanitiseName } from '../base/sanitise.ts';
import type { LoadOptions } from '../compose/options.ts';
import type { Warning } from '../compose/warnings.ts';
import type { CliContext, ProjectOptions } from './context.ts';
import type { Interrupts } from './interrupts.ts';
import type { Terminal } from './terminal.ts';

/** The context of the real process. Engine and loader are imported when a command asks for them. */
export const createContext = (options: { readonly terminal: Terminal; readonly interrupts: Interrupts }): CliContext => ({
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  home: homedir(),
  now: Date.now,
  interrupts: options.interrupts,
  terminal: options.terminal,
  engine: () => import('../engine/index.ts'),
  loadProject: async (project) => {
    const { loadProject } = await import('../compose/index.ts');
    const loaded = await loadProject(loadOptions(project));
    printWarnings(loaded.warnings);
    return loaded.project;
  },
  config: async (project, args) => {
    const { configCommand } = await import('../compose/config-command.ts');
    return configCommand(loadOptions(project), args);
  },
});

const loadOptions = (options: ProjectOptions): LoadOptions => ({ ...options, stdin: readStdin });

/** `-f -`: a Compose file is small; the loader has its own limit, this one only keeps memory in bounds. */
const readStdin = async (): Promise<Uint8Array> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of process.stdin) {
    parts.push(Buffer.from(part));
    size += part.length;
    if (size > 64 << 20) {
      break;
    }
  }
  return Buffer.concat(parts);
};

const printWarnings = (warnings: readonly Warning[]): void => {
  for (const warning of warnings) {
    const place = warning.where ? `${formatPlace(warning.where)}: ` : '';
    process.stderr.write(`warning: ${sanitiseName(place + warning.message)}\n`);
  }
};
