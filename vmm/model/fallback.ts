/** The ways to start a machine, fastest first: a clone with its root already mounted, a clone of the plain template, a boot. */
export type Start = 'rooted-clone' | 'clone' | 'boot';

/** What failed: making the machine, its agent's first answer, or preparing the guest for its workload. */
export type FailedStep = 'create' | 'answer' | 'prepare';

/** How to start a machine after a first try failed. */
export interface Fallback {
  readonly start: Exclude<Start, 'rooted-clone'>;
  /** The writable layer is made anew: it is a copy of the template's, and no workload has used it yet. */
  readonly freshLayer: boolean;
}

/**
 * After a clone that never answered the machine boots, because cloning seems not to work. After one that answered but could not
 * be prepared only its mounted root is suspect, so a plain clone is tried. What a plain clone cannot prepare, no machine can.
 */
const FALLBACKS = {
  'rooted-clone': { create: 'clone', answer: 'boot', prepare: 'clone' },
  clone: { create: 'boot', answer: 'boot', prepare: undefined },
  boot: { create: undefined, answer: undefined, prepare: undefined },
} as const satisfies Record<Start, Record<FailedStep, Fallback['start'] | undefined>>;

/** How a machine is started after another start failed; undefined: it is not, and the failure is the result. Pure. */
export const fallbackAfter = <S extends Start, F extends FailedStep>(start: S, failed: F): (typeof FALLBACKS)[S][F] =>
  FALLBACKS[start][failed];

/** How a machine was started. */
export const startOf = ({ layout, rooted }: { readonly layout: 'cold' | 'clone'; readonly rooted?: true }): Start =>
  layout === 'cold' ? 'boot' : rooted ? 'rooted-clone' : 'clone';
