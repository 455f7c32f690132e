import type { DownOptions, ExecOptions, RunOptions, UpOptions, VerbOptions } from './command-options.ts';

/** Defaults of command options: for command lines without flags, and for API clients that leave members out. */

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
  ignoreOrphans: false,
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
  replicas: [],
  timeout: undefined,
  signal: undefined,
  noDeps: false,
  stop: false,
  volumes: false,
  wait: false,
  waitTimeout: undefined,
};

export const EXEC_DEFAULTS: Omit<ExecOptions, 'service' | 'args'> = {
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

export const RUN_DEFAULTS: Omit<RunOptions, 'service'> = {
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
  ignoreOrphans: false,
};
