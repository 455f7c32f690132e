import { relative } from 'node:path';
import { type IgnoreRules, parsePatterns } from '../../builder/context/ignore.ts';
import type { Project, Service } from '../../compose/model/model.ts';

export type WatchAction = 'sync' | 'rebuild' | 'restart' | 'sync+restart' | 'sync+exec';

/** One entry of `develop.watch`. Paths of this host are absolute. */
export interface WatchRule {
  readonly service: string;
  readonly path: string;
  readonly action: WatchAction;
  readonly target: string | undefined;
  readonly exec: WatchHook | undefined;
  readonly initialSync: boolean;
  /** It was asked for by the name that it had as an experiment. */
  readonly usesOldName: boolean;
  readonly ignores: (path: string) => boolean;
}

export interface WatchHook {
  readonly command: readonly string[];
  readonly user: string | undefined;
  readonly workdir: string | undefined;
  readonly environment: Readonly<Record<string, string | null>>;
}

interface RawRule {
  readonly path: string;
  readonly action: WatchAction;
  readonly target?: string;
  readonly exec?: { command?: string[] | null; user?: string; working_dir?: string; environment?: Record<string, string | null> };
  readonly ignore?: string[];
  readonly include?: string[];
  readonly initial_sync?: boolean;
  /** Its name while it was an experiment. */
  readonly 'x-initialSync'?: boolean;
}

/** Temporary files of editors and version control, ignored as in docker compose. */
const NEVER = ['**/.git', '**/*~', '**/.*.sw?', '**/.*.swx', '**/.DS_Store', '**/.#*', '**/4913', '**/.idea/**/*.tmp', '**/___jb_*'];

/** The rules of the named services (all when none). */
export const watchRules = (project: Project, services: readonly string[]): WatchRule[] =>
  Object.entries(project.services)
    .filter(([name]) => services.length === 0 || services.includes(name))
    .flatMap(([name, service]) => rawRules(service).map((raw) => ruleOf(name, raw)));

const rawRules = (service: Service): readonly RawRule[] => (service.develop as { watch?: RawRule[] } | undefined)?.watch ?? [];

const ruleOf = (service: string, raw: RawRule): WatchRule => {
  const where = { file: `develop.watch of ${service}`, line: 1 };
  const ignored = parsePatterns([...NEVER, ...(raw.ignore ?? [])], where);
  const included: IgnoreRules | undefined = raw.include?.length ? parsePatterns(raw.include, where) : undefined;
  return {
    service,
    path: raw.path,
    action: raw.action,
    target: raw.target,
    exec: raw.exec?.command?.length
      ? { command: raw.exec.command, user: raw.exec.user, workdir: raw.exec.working_dir, environment: raw.exec.environment ?? {} }
      : undefined,
    initialSync: raw.initial_sync === true || raw['x-initialSync'] === true,
    usesOldName: raw['x-initialSync'] === true,
    ignores: (path) => {
      const below = relative(raw.path, path);
      return below !== '' && (ignored.excludes(below) || (included !== undefined && !included.excludes(below)));
    },
  };
};
