import type { Image } from '../../model/types.ts';
import { familiarName, imageRepository } from './names.ts';

/** docker's keys. */
export const inspectImage = (image: Image): Record<string, unknown> => {
  const [os = 'linux', architecture = 'amd64', variant] = image.platform.split('/');
  const digests = image.references.map((reference) => `${imageRepository(reference).repository}@${image.manifestDigest}`);
  return {
    Id: image.id,
    RepoTags: image.references.map(familiarName),
    RepoDigests: image.manifestDigest ? [...new Set(digests)] : [],
    Parent: image.parent ?? '',
    Comment: image.comment ?? '',
    Author: image.author ?? '',
    Created: new Date(image.created).toISOString(),
    Config: image.config,
    Architecture: architecture,
    ...(variant ? { Variant: variant } : {}),
    Os: os,
    Size: image.size,
    RootFS: { Type: 'layers', Layers: image.layers },
  };
};
