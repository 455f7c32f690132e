import type { VerbOptions } from '../../engine/model/types.ts';

/** A verb with no flag at all. */
export const plainVerb = (services: readonly string[]): VerbOptions => ({
  services,
  timeout: undefined,
  signal: undefined,
  noDeps: false,
  stop: false,
  volumes: false,
  wait: false,
  waitTimeout: undefined,
});
