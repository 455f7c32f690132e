import { HyprError } from '../../base/errors.ts';

/** Annotations by where they go (image-spec annotations.md). */
export interface Annotations {
  readonly manifest: Readonly<Record<string, string>>;
  readonly 'manifest-descriptor': Readonly<Record<string, string>>;
  readonly index: Readonly<Record<string, string>>;
  readonly 'index-descriptor': Readonly<Record<string, string>>;
}

type Place = keyof Annotations;
const PLACES: readonly Place[] = ['manifest', 'manifest-descriptor', 'index', 'index-descriptor'];
const NONE: Annotations = { manifest: {}, 'manifest-descriptor': {}, index: {}, 'index-descriptor': {} };

/** `--annotation`: `key=value`, `index:key=value`, `index,manifest:key=value`; the manifest is meant unless said otherwise. Throws HYPR_USAGE. */
export const parseAnnotations = (specs: readonly string[]): Annotations =>
  specs.reduce((all, spec) => {
    const at = spec.indexOf('=');
    if (at <= 0) {
      throw new HyprError('HYPR_USAGE', `--annotation ${spec}: expected KEY=VALUE`);
    }
    const [, places, key = ''] = /^(?:([a-z,-]+(?:\[[^\]]*\])?(?:,[a-z-]+(?:\[[^\]]*\])?)*):)?(.*)$/s.exec(spec.slice(0, at)) ?? [];
    return (places ?? 'manifest').split(',').reduce((result, place) => add(result, { place, key, value: spec.slice(at + 1) }), all);
  }, NONE);

/** `annotation.key=value` and `annotation-index.key=value` of an output. Throws HYPR_USAGE. */
export const parseOutputAnnotation = (all: Annotations, name: string, value: string): Annotations => {
  const match = /^annotation(?:-([a-z-]+))?(\[[^\]]*\])?\.(.+)$/s.exec(name);
  if (match === null) {
    throw new HyprError('HYPR_USAGE', `--output: "${name}" is not an annotation`, { hint: 'write annotation.KEY=VALUE' });
  }
  return add(all, { place: `${match[1] ?? 'manifest'}${match[2] ?? ''}`, key: match[3] ?? '', value });
};

const add = (all: Annotations, { place, key, value }: { place: string; key: string; value: string }): Annotations => {
  // A platform in brackets selects a manifest; there is only one here.
  const where = PLACES.find((known) => known === place.replace(/\[[^\]]*\]$/, ''));
  if (where === undefined || key === '') {
    throw new HyprError('HYPR_USAGE', `the annotation ${key || '(no name)'} cannot go to "${place}"`, {
      hint: `use one of: ${PLACES.join(', ')}`,
    });
  }
  return { ...all, [where]: { ...all[where], [key]: value } };
};

/** `annotations` of a document or descriptor, when there are any. */
export const annotationsField = (map: Readonly<Record<string, string>>): { annotations?: Readonly<Record<string, string>> } =>
  Object.keys(map).length === 0 ? {} : { annotations: map };
