import { homedir } from 'node:os';
import { addAbortSignal } from 'node:stream';
import { formatPlace, HyprError } from '../../base/errors.ts';
import { homePaths, hyprHome } from '../../base/paths.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import { traced } from '../../base/trace/trace.ts';
import type { ConfigOptions, LoadedProject, LoadOptions, Warning } from '../../compose/index.ts';
import type { CliContext, ConfigArgs, ProjectOptions } from '../core/context.ts';
import type { Interrupts } from '../core/interrupts.ts';
import { warn } from '../core/output.ts';
import { openSettings } from '../core/settings.ts';
import type { Terminal } from '../core/terminal.ts';

/** A stream of the process, made when it is asked for the first time. */
export type ProcessOutput = (name: 'stdout' | 'stderr') => NodeJS.WriteStream;

/** Of the project that was loaded last: one process loads one. */
let placeOf: LoadedProject['placeOf'] | undefined;

/** The context of the real process. Engine and loader are imported when a command asks for them. */
export const createContext = (options: {
  readonly terminal: Terminal;
  readonly interrupts: Interrupts;
  readonly output: ProcessOutput;
}): CliContext => ({
  // Made when they are asked for.
  get stdin() {
    return process.stdin;
  },
  get stdout() {
    return options.output('stdout');
  },
  get stderr() {
    return options.output('stderr');
  },
  env: process.env,
  cwd: process.cwd(),
  home: homedir(),
  now: Date.now,
  interrupts: options.interrupts,
  terminal: options.terminal,
  settings: openSettings(homePaths(hyprHome()).settings),
  engine: () => traced('load the engine', undefined, () => import('../../engine/index.ts')),
  loadProject: async (project) => {
    const { checkOwnKeys, loadProject } = await traced('load the loader', undefined, () => import('../../compose/load/load.ts'));
    const loaded = await traced('load the model', undefined, () =>
      loadProject({ ...loadOptions(project, options), dependOnContainers: true }),
    );
    printWarnings([...loaded.warnings, ...checkOwnKeys(loaded.tree)], options.output);
    placeOf = loaded.placeOf;
    return project.compatibility === true ? { ...loaded.project, separator: '_' } : loaded.project;
  },
  placeOf: (path) => placeOf?.(path),
  config: async (project, args) => {
    const { runConfig } = await import('../../compose/index.ts');
    const resolveDigest = async (reference: string): Promise<string> => {
      const engine = await import('../../engine/index.ts');
      return engine.resolveDigest(reference, options.interrupts.signal);
    };
    const result = await runConfig({
      ...loadOptions({ ...project, services: args.services }, options),
      ...configOptions(args),
      resolveDigest,
    });
    printWarnings(result.warnings, options.output);
    return result.stdout;
  },
});

/** `config`'s flags in the words of the loader. */
const configOptions = ({ flags }: ConfigArgs): Partial<ConfigOptions> => ({
  ...(flags.format === 'json' || flags.format === 'yaml' ? { format: flags.format } : {}),
  quiet: flags.quiet === true,
  listServices: flags.services === true,
  listVolumes: flags.volumes === true,
  listNetworks: flags.networks === true,
  listModels: flags.models === true,
  listImages: flags.images === true,
  listProfiles: flags.profiles === true,
  listVariables: flags.variables === true,
  listEnvironment: flags.environment === true,
  interpolate: flags['no-interpolate'] !== true,
  normalize: flags['no-normalize'] !== true && flags.compatibility !== true,
  compatibility: flags.compatibility === true,
  resolvePaths: flags['no-path-resolution'] !== true,
  consistency: flags['no-consistency'] !== true,
  resolveEnv: flags['no-env-resolution'] !== true,
  hash: typeof flags.hash === 'string' ? flags.hash : undefined,
  pinImages: flags['lock-image-digests'] === true ? 'lock' : flags['resolve-image-digests'] === true ? 'resolve' : undefined,
  explain: typeof flags.explain === 'string' ? flags.explain : undefined,
});

const refuseElsewhere = (): Promise<never> =>
  Promise.reject(new HyprError('HYPR_UNSUPPORTED', 'the model is not on this host alone, and nothing is fetched here'));

const loadOptions = (
  options: ProjectOptions,
  { interrupts: { signal }, output }: { interrupts: Interrupts; output: ProcessOutput },
): LoadOptions => ({
  ...options,
  stdin: () => (options.onlyLocal === true ? refuseElsewhere() : readStdin(signal)),
  signal,
  fetchFile: async (reference) => {
    if (options.onlyLocal === true) {
      return refuseElsewhere();
    }
    const { fetchComposeFile } = await import('../../engine/artifacts/fetch-compose-file.ts');
    return fetchComposeFile(reference, { insecure: options.insecureRegistries, env: process.env, signal });
  },
  nameFor: async (project) => {
    const { findCheckout } = await import('../../engine/client/checkouts.ts');
    const { name, apartFrom } = await findCheckout({ ...project, claim: options.claimsName === true });
    if (apartFrom !== undefined && options.claimsName === true) {
      output('stderr').write(
        `This stack is called ${name}, because ${project.name} is the one of ${apartFrom}. To choose a name: -p NAME, or COMPOSE_PROJECT_NAME.\n`,
      );
    }
    return name;
  },
});

/** `-f -`: a Compose file is small; the loader has its own limit, this one only keeps memory in bounds. */
const readStdin = async (signal: AbortSignal): Promise<Uint8Array> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of addAbortSignal(signal, process.stdin)) {
    parts.push(Buffer.from(part as Buffer));
    size += (part as Buffer).length;
    if (size > 64 << 20) {
      break;
    }
  }
  return Buffer.concat(parts);
};

const printWarnings = (warnings: readonly Warning[], output: ProcessOutput): void => {
  for (const warning of warnings) {
    // docker compose's words may begin with the file, which the place has already.
    const words = warning.where && warning.message.replace(`${warning.where.file}: `, '');
    const place = warning.where ? `${formatPlace(warning.where)}: ` : '';
    const also = warning.also.length === 0 ? '' : ` (the other: ${warning.also.map(formatPlace).join(', ')})`;
    warn(output('stderr'), sanitiseName(place + (words ?? warning.message) + also));
    if (warning.hint !== undefined) {
      output('stderr').write(`  hint: ${sanitiseName(warning.hint)}\n`);
    }
  }
};
