import { sanitiseName } from '../../base/sanitise.ts';
import { imageRepository, shortId } from '../../engine/docker/shapes/names.ts';
import type { BuildUsage, UsageDetails } from '../../engine/model/types.ts';
import { compileTemplate, unescapeFormat } from '../format/go-template.ts';
import { formatListing } from '../format/output.ts';
import { psRow } from '../format/replica.ts';
import { ago, humanSize } from '../format/units.ts';

const IMAGES = {
  ...{ Repository: 'REPOSITORY', Tag: 'TAG', ID: 'IMAGE ID', CreatedSince: 'CREATED' },
  ...{ Size: 'SIZE', SharedSize: 'SHARED SIZE', UniqueSize: 'UNIQUE SIZE', Containers: 'CONTAINERS' },
};
const CONTAINERS = {
  ...{ ID: 'CONTAINER ID', Image: 'IMAGE', Command: 'COMMAND', LocalVolumes: 'LOCAL VOLUMES' },
  ...{ Size: 'SIZE', RunningFor: 'CREATED', Status: 'STATUS', Names: 'NAMES' },
};
const VOLUMES = { Name: 'VOLUME NAME', Links: 'LINKS', Size: 'SIZE' };
const BUILDS = {
  ...{ ID: 'CACHE ID', CacheType: 'CACHE TYPE', Size: 'SIZE', CreatedSince: 'CREATED' },
  ...{ LastUsedSince: 'LAST USED', UsageCount: 'USAGE', Shared: 'SHARED' },
};

type Rows = ReadonlyArray<Readonly<Record<string, unknown>>>;

/** What `system df -v` prints: four tables, one object of JSON, or that object through a template. */
export const showUsage = (usage: UsageDetails, { now, format }: { readonly now: number; readonly format: string | undefined }): string => {
  const rows = {
    Images: usage.images.flatMap((each) => imageRows(each, now)),
    Containers: usage.containers.map(({ replica, size }) => ({
      ...psRow(replica.status, { stack: replica.stack, now, noTrunc: false }),
      Size: humanSize(size),
    })),
    Volumes: usage.volumes.map(({ name, links, size }) => ({ Name: sanitiseName(name), Links: String(links), Size: humanSize(size) })),
    BuildCache: usage.builds.map((build) => buildRow(build, now)),
  };
  if (format !== undefined && format !== '' && format !== 'table') {
    return `${format === 'json' ? JSON.stringify(rows) : compileTemplate(unescapeFormat(format))(rows)}\n`;
  }
  const table = (columns: Readonly<Record<string, string>>, of: Rows) => formatListing({ columns, rows: of, json: 'lines' }, undefined);
  const cache = humanSize(usage.builds.reduce((sum, { size }) => sum + size, 0));
  return [
    `Images space usage:\n\n${table(IMAGES, rows.Images)}`,
    `Containers space usage:\n\n${table(CONTAINERS, rows.Containers)}`,
    `Local Volumes space usage:\n\n${table(VOLUMES, rows.Volumes)}`,
    `Build cache usage: ${cache}\n\n${table(BUILDS, rows.BuildCache)}`,
  ].join('\n');
};

/** One for each name. */
const imageRows = ({ image, size, shared, containers }: UsageDetails['images'][number], now: number): Rows => {
  const names = image.references.length > 0 ? image.references.map(imageRepository) : [{ repository: '<none>', tag: '<none>' }];
  return names.map(({ repository, tag }) => ({
    Repository: repository,
    Tag: tag,
    ID: shortId(image.id),
    CreatedSince: ago(image.created, now),
    Size: humanSize(size),
    SharedSize: humanSize(shared),
    UniqueSize: humanSize(size - shared),
    Containers: String(containers),
  }));
};

const buildRow = ({ id, type, size, created, used }: BuildUsage, now: number): Record<string, string> => ({
  ID: id.slice(0, 12),
  CacheType: type,
  Size: humanSize(size),
  CreatedSince: created === undefined ? '' : ago(created, now),
  LastUsedSince: ago(used, now),
  // Nobody counts.
  UsageCount: '',
  Shared: 'false',
});
