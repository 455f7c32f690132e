import { randomBytes } from 'node:crypto';
import type { ImageOutcome } from './types.ts';

/** The content of `--metadata-file`, with the keys of buildx and BuildKit; for a build without an image only its reference. */
export const buildMetadata = (image: ImageOutcome | undefined): Record<string, unknown> => ({
  'buildx.build.ref': `hypr/hypr/${randomBytes(16).toString('hex')}`,
  ...(image === undefined
    ? {}
    : {
        'containerimage.config.digest': image.imageId,
        'containerimage.descriptor': image.descriptor,
        'containerimage.digest': image.descriptor.digest,
        ...(image.names.length === 0 ? {} : { 'image.name': image.names.join(',') }),
      }),
});
