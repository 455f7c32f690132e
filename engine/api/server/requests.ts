import type { JsonObject } from '@bufbuild/protobuf';
import { HyprError } from '../../../base/errors.ts';
import type { Project } from '../../../compose/model/model.ts';
import { EXEC_DEFAULTS, RUN_DEFAULTS } from '../../model/option-defaults.ts';
import type { ExecOptions, RunOptions, ServiceVerb } from '../../model/types.ts';
import { fromStruct } from './convert.ts';

export const execOptions = (given: Partial<ExecOptions>): ExecOptions => {
  const { service, args } = given;
  if (service === undefined || args === undefined || args.length === 0) {
    throw new HyprError('HYPR_USAGE', 'an exec needs a service and args, the program with its arguments');
  }
  return { ...EXEC_DEFAULTS, ...given, service, args };
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
