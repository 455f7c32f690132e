import type { Service } from '../../compose/model/model.ts';

/** `skip` with a reason is said; one without has no line of its own. */
export type PullDecision = { readonly pull: true } | { readonly pull: false; readonly skipped?: string };

export interface PullChoice {
  readonly present: boolean;
  readonly ignoreBuildable: boolean;
  /** `--policy`: overrides the file's policies. */
  readonly policy: 'missing' | 'always' | undefined;
}

/**
 * What `compose pull` does about a service's image, as docker compose decides: asked for expressly, a service without a policy and
 * one whose refresh is not due yet are pulled all the same, and so is `latest`, which is expected to move. Pure.
 */
export const decidePull = (service: Service, { present, ignoreBuildable, policy: asked }: PullChoice): PullDecision => {
  const { image, build } = service;
  if (image === undefined) {
    return { pull: false, skipped: 'No image to be pulled' };
  }
  if (build !== undefined && ignoreBuildable) {
    return { pull: false, skipped: 'Image can be built' };
  }
  const policy = asked ?? service.pull_policy ?? 'always';
  if (policy === 'never' || policy === 'build') {
    return { pull: false };
  }
  const keeps = policy === 'missing' || policy === 'if_not_present';
  return keeps && present && !(asked === undefined && isLatest(image))
    ? { pull: false, skipped: 'Image is already present locally' }
    : { pull: true };
};

/** A name without a tag and without a digest is that of `latest`. */
const isLatest = (image: string): boolean => {
  const last = image.slice(image.lastIndexOf('/') + 1);
  return !image.includes('@') && (!last.includes(':') || last.endsWith(':latest'));
};
