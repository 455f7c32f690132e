import type { HistoryStep } from '../../../builder/history.ts';
import type { Image } from '../../model/types.ts';
import { inspectImage } from './image.ts';
import { familiarName, imageRepository } from './names.ts';

/** An image as `GET /images/json` lists it. */
export const summariseImage = (image: Image, containers: number): Record<string, unknown> => {
  const { RepoDigests } = inspectImage(image);
  return {
    Id: image.id,
    ParentId: '',
    RepoTags: image.references.filter((name) => !name.includes('@')).map(taggedName),
    RepoDigests,
    Created: Math.floor(image.created / 1000),
    Size: image.size,
    SharedSize: -1,
    VirtualSize: image.size,
    Labels: image.config.Labels,
    Containers: containers,
  };
};

export const taggedName = (reference: string): string => {
  const { repository, tag } = imageRepository(reference);
  return `${repository}:${tag}`;
};

/** An image as `GET /images/NAME/json` gives it, with the keys that strictly typed clients look for. */
export const describeImage = (image: Image): Record<string, unknown> => {
  const { Config, ...known } = inspectImage(image);
  return {
    ...known,
    RepoTags: image.references.filter((name) => !name.includes('@')).map(taggedName),
    DockerVersion: '',
    VirtualSize: image.size,
    GraphDriver: { Name: 'erofs', Data: null },
    Metadata: { LastTagTime: '0001-01-01T00:00:00Z' },
    Config: { Domainname: '', Hostname: '', OpenStdin: false, Tty: false, Image: '', ...(Config as object) },
  };
};

export const historyOf = (image: Image, steps: readonly HistoryStep[]): unknown[] =>
  steps.map(({ created, createdBy, comment, size }, index) => ({
    Id: index === 0 ? image.id : '<missing>',
    Created: Math.floor((created ?? 0) / 1000),
    CreatedBy: createdBy,
    Tags: index === 0 && image.references.length > 0 ? image.references.map(familiarName) : null,
    Size: size,
    Comment: comment,
  }));
