import { HyprError } from '../../base/errors.ts';
import { UP_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { UpOptions } from '../../engine/model/types.ts';
import type { Flags } from './flags.ts';

const PULL = ['always', 'missing', 'never', 'policy'] as const;

/** Flags of `up` that contradict each other, as docker compose refuses them. */
const CONFLICTS: ReadonlyArray<{ readonly one: string; readonly others: readonly string[] }> = [
  { one: 'build', others: ['no-build'] },
  { one: 'no-recreate', others: ['force-recreate', 'renew-anon-volumes', 'always-recreate-deps'] },
  { one: 'abort-on-container-failure', others: ['abort-on-container-exit'] },
  { one: 'wait', others: ['abort-on-container-exit', 'abort-on-container-failure', 'exit-code-from', 'attach', 'attach-dependencies'] },
  {
    one: 'detach',
    others: ['abort-on-container-exit', 'abort-on-container-failure', 'exit-code-from', 'attach', 'attach-dependencies'],
  },
  { one: 'watch', others: ['detach', 'wait', 'no-start'] },
  { one: 'ui', others: ['no-ui', 'stream', 'detach'] },
];

/** Throws HYPR_USAGE for the first pair of flags that cannot be given together. */
export const checkUpFlags = (flags: Flags): void => {
  const given = new Set(flags.given().map((flag) => flag.name));
  const on = (name: string): boolean => given.has(name) && (flags.tristate(name) ?? true);
  for (const { one, others } of CONFLICTS) {
    const other = given.has(one) && on(one) ? others.find(on) : undefined;
    if (other !== undefined) {
      throw new HyprError('HYPR_USAGE', `--${one} and --${other} cannot be given together`);
    }
  }
};

/** UpOptions from the flags of `up`. */
export const upOptions = (flags: Flags, services: readonly string[]): UpOptions => ({
  ...createOptions(flags, services),
  alwaysRecreateDeps: flags.bool('always-recreate-deps'),
  renewAnonVolumes: flags.bool('renew-anon-volumes'),
  noDeps: flags.bool('no-deps'),
  noStart: flags.bool('no-start'),
  timeout: flags.int('timeout'),
  wait: flags.bool('wait') || flags.int('wait-timeout') !== undefined,
  waitTimeout: flags.int('wait-timeout'),
});

/** UpOptions from the flags that `up` and `create` share. */
export const createOptions = (flags: Flags, services: readonly string[]): UpOptions => ({
  ...UP_DEFAULTS,
  services,
  build: flags.bool('build'),
  noBuild: flags.bool('no-build'),
  pull: flags.choice('pull', PULL) ?? 'policy',
  forceRecreate: flags.bool('force-recreate'),
  noRecreate: flags.bool('no-recreate'),
  noStart: true,
  removeOrphans: flags.bool('remove-orphans'),
  ignoreOrphans: false,
  scale: parseScale(flags.list('scale')),
});

/** `web=3` → `{ web: 3 }`. */
export const parseScale = (pairs: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    pairs.map((pair) => {
      const [, service, count] = /^([^=]+)=(\d{1,4})$/.exec(pair) ?? [];
      if (service === undefined) {
        throw new HyprError('HYPR_USAGE', `"${pair}" does not say how many replicas`, { hint: 'write SERVICE=NUMBER, such as web=3' });
      }
      return [service, Number(count)];
    }),
  );
