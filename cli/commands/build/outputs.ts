import { HyprError } from '../../../base/errors.ts';
import type { BuildRequest } from '../../../engine/model/types.ts';
import type { Flags } from '../../core/flags.ts';

/**
 * `-o`, `--push` and `--load` as the outputs of a request, as buildx combines them: each is short for an output
 * of its own, and adds to one of its kind that is there. Throws HYPR_USAGE.
 */
export const parseOutputFlags = (flags: Flags): string[] => {
  const outputs = [...flags.list('output')];
  const [push, load] = [flags.bool('push'), flags.bool('load')];
  if (outputs.length === 0) {
    const both = push ? ['type=image,push=true'] : [];
    return load && !push ? ['type=docker'] : both;
  }
  const images = outputs.filter((spec) => /^type=(image|registry)\b/.test(spec));
  if (push && images.length === 0) {
    throw new HyprError('HYPR_USAGE', `--push cannot be combined with --output ${outputs[0]}`, {
      hint: 'write the second output, too: --output type=image,push=true',
    });
  }
  const isLoaded = outputs.some((spec) => /^type=(image|registry)\b/.test(spec) || (/^type=docker\b/.test(spec) && !/\bdest=/.test(spec)));
  return [
    ...outputs.map((spec) => (push && images.includes(spec) && !/\bpush=/.test(spec) ? `${spec},push=true` : spec)),
    ...(load && !isLoaded ? ['type=docker'] : []),
  ];
};

/**
 * `--provenance`, `--sbom` and `--attest` as one setting of provenance: nothing is attested unless it is asked for. Throws
 * HYPR_UNSUPPORTED for what hypr cannot attest.
 */
export const parseAttestFlags = (flags: Flags, attests: readonly string[] = []): Pick<BuildRequest, 'provenance'> => {
  const sbom = flags.string('sbom');
  if (sbom !== undefined && !isFalse(sbom)) {
    throw noSbom();
  }
  let provenance = flags.string('provenance');
  for (const spec of attests) {
    const [, type, rest = ''] = /^type=([a-z]+),?(.*)$/.exec(spec) ?? [];
    if (type === 'sbom' && !/\bdisabled=true\b/.test(rest)) {
      throw noSbom();
    }
    if (type !== 'provenance' && type !== 'sbom') {
      throw new HyprError('HYPR_USAGE', `--attest ${spec}: expected type=provenance or type=sbom`);
    }
    if (type === 'provenance') {
      provenance = /\bdisabled=true\b/.test(rest) ? 'false' : rest || 'true';
    }
  }
  return provenance === undefined || isFalse(provenance) ? {} : { provenance };
};

const isFalse = (text: string): boolean => /^(false|0|f|disabled=true)$/i.test(text);

const noSbom = (): HyprError =>
  new HyprError('HYPR_UNSUPPORTED', 'no SBOM is made: that needs a scanner image, which hypr does not run', {
    hint: 'leave --sbom out, and scan the result: hypr build -o type=oci,dest=app.tar .',
  });

/** `--build-arg`, and SOURCE_DATE_EPOCH of the environment unless it is among them, as in buildx. */
export const withSourceDate = (args: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv): Record<string, string> => ({
  ...(env.SOURCE_DATE_EPOCH ? { SOURCE_DATE_EPOCH: env.SOURCE_DATE_EPOCH } : {}),
  ...args,
});
