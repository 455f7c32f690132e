import { withDeadline } from '../../base/deadline.ts';
import { sanitiseName } from '../../base/sanitise.ts';
import type { CliContext } from '../core/context.ts';

/** The kinds of names, and the flags before the word that is completed (cli/command-tree/complete.ts). */
interface Wanted {
  readonly names: readonly string[];
  readonly flags: Readonly<Record<string, readonly string[]>>;
}

/** Who has pressed a key waits: what takes longer (a stack's folder on a server, a locked database) gives no names. */
const DEADLINE_MS = 2000;

/** Names of what there is, for a shell that completes a word: read from the Compose file and from disk, no machine and no supervisor is asked. */
export const lookUpNames = async ({ names, flags }: Wanted, context: CliContext): Promise<string[]> => {
  const { signal } = context.interrupts;
  const look = (kind: string): Promise<string[]> =>
    withDeadline(
      { ms: DEADLINE_MS, what: `the names of each ${kind}`, signal },
      async () => (await LOOK_UPS[kind]?.(context, flags)) ?? [],
    );
  const found = await Promise.allSettled(names.map(look));
  // Completion has no place for errors: what cannot be read has no names.
  return [...new Set(found.flatMap((each) => (each.status === 'fulfilled' ? each.value : [])))]
    .map(sanitiseName)
    .filter((name) => name !== '')
    .sort();
};

type LookUp = (context: CliContext, flags: Wanted['flags']) => Promise<string[]>;

const model = async (context: CliContext, flags: Wanted['flags'], profiles: readonly string[]) =>
  context.loadProject({
    files: flags.file ?? [],
    projectName: flags['project-name']?.at(-1),
    projectDirectory: flags['project-directory']?.at(-1),
    envFiles: flags['env-file'] ?? [],
    profiles,
    services: [],
    insecureRegistries: [],
    resolveEnv: false,
    uniqueNames: false,
    allResources: false,
    // A key that is pressed asks no server, least of all one that a stranger's file names.
    onlyLocal: true,
    env: context.env,
    cwd: context.cwd,
  });

const objects = async (context: CliContext) => (await context.engine()).openObjects();

const LOOK_UPS: Readonly<Record<string, LookUp>> = {
  service: async (context, flags) => {
    const project = await model(context, flags, flags.profile ?? []);
    return [...Object.keys(project.services), ...Object.keys(project.disabledServices)];
  },
  profile: async (context, flags) => {
    const project = await model(context, flags, ['*']);
    return Object.values(project.services).flatMap(({ profiles }) => profiles ?? []);
  },
  replica: async (context) => (await objects(context)).replicas().map(({ status }) => status.name),
  volume: async (context) => (await objects(context)).volumes().map(({ name }) => name),
  network: async (context) => (await objects(context)).networks().map(({ name }) => name),
  stack: async (context) => (await (await context.engine()).listStacks({ all: true })).map(({ name }) => name),
  image: async (context) => {
    const images = await (await (await context.engine()).openImages()).list();
    return images
      .flatMap(({ references }) => references)
      .map((reference) => reference.replace(/^docker\.io\/(library\/)?/, '').replace(/:latest$/, ''));
  },
};
