import type { JsonObject } from '@bufbuild/protobuf';
import { HyprError } from '../../../base/errors.ts';
import type { Project } from '../../../compose/model/model.ts';
import type { DownOptions, ExecOptions, RunOptions, ServiceVerb, UpOptions, VerbOptions } from '../../model/types.ts';
import { fromStruct } from './convert.ts';

/** What a client that speaks plain JSON leaves out: the defaults of the command line. */
export const UP_DEFAULTS: UpOptions = {
  services: [],
  build: false,
  noBuild: false,
  pull: 'policy',
  forceRecreate: false,
  noRecreate: false,
  alwaysRecreateDeps: false,
  renewAnonVolumes: false,
  noDeps: false,
  noStart: false,
  removeOrphans: false,
  scale: {},
  timeout: undefined,
  wait: false,
  waitTimeout: undefined,
};

export const DOWN_DEFAULTS: DownOptions = {
  services: [],
  volumes: false,
  removeImages: 'none',
  removeOrphans: false,
  timeout: undefined,
};

export const VERB_DEFAULTS: VerbOptions = {
  services: [],
  timeout: undefined,
  signal: undefined,
  noDeps: false,
  stop: false,
  volumes: false,
  wait: false,
  waitTimeout: undefined,
};

const EXEC_DEFAULTS: Omit<ExecOptions, 'service' | 'args'> = {
  index: undefined,
  env: [],
  user: undefined,
  workdir: undefined,
  tty: false,
  stdin: false,
  detach: false,
  privileged: false,
  size: undefined,
};

export const execOptions = (given: Partial<ExecOptions>): ExecOptions => {
  const { service, args } = given;
  if (service === undefined || args === undefined || args.length === 0) {
    throw new HyprError('HYPR_USAGE', 'an exec needs a service and args, the program with its arguments');
  }
  return { ...EXEC_DEFAULTS, ...given, service, args };
};

const RUN_DEFAULTS: Omit<RunOptions, 'service'> = {
  name: undefined,
  args: [],
  entrypoint: undefined,
  env: {},
  labels: {},
  volumes: [],
  ports: [],
  servicePorts: false,
  useAliases: false,
  user: undefined,
  workdir: undefined,
  capAdd: [],
  capDrop: [],
  tty: false,
  stdin: false,
  size: undefined,
  detach: false,
  remove: 'no',
  ordinary: false,
  noDeps: false,
  build: false,
  pull: 'policy',
  removeOrphans: false,
};

export const runOptions = (given: Partial<RunOptions>): RunOptions => {
  const { service } = given;
  if (service === undefined) {
    throw new HyprError('HYPR_USAGE', 'a run needs a service');
  }
  return { ...RUN_DEFAULTS, ...given, service };
};

export const needProject = (project: JsonObject | undefined): Project => {
  if (project === undefined || typeof project.services !== 'object') {
    throw new HyprError('HYPR_USAGE', 'the request needs a project: what `hypr compose config --format json` prints, with its environment');
  }
  return { ...EMPTY_PROJECT, ...fromStruct<Partial<Project> & Pick<Project, 'name' | 'services'>>(project) };
};

const EMPTY_PROJECT: Omit<Project, 'name' | 'services'> = {
  workingDir: '/',
  files: [],
  disabledServices: {},
  networks: {},
  volumes: {},
  secrets: {},
  configs: {},
  models: {},
  extensions: {},
  environment: {},
};

const VERBS: readonly string[] = [
  'start',
  'stop',
  'restart',
  'kill',
  'pause',
  'unpause',
  'suspend',
  'resume',
  'rm',
] satisfies ServiceVerb[];

export const needVerb = (verb: string): ServiceVerb => {
  if (!VERBS.includes(verb)) {
    throw new HyprError('HYPR_USAGE', `"${verb}" is not something to do to services: it is one of ${VERBS.join(', ')}`);
  }
  return verb as ServiceVerb;
};
