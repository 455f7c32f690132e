import { sanitiseName } from '../../base/sanitise.ts';
import { imageRepository, shortId } from '../../engine/docker/shapes/names.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import type { Image } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { checkServices, withStack } from '../core/project.ts';
import { formatListing } from '../format/output.ts';
import { COMPOSE_TABLE } from '../format/table.ts';
import { ago, humanSize } from '../format/units.ts';

const COLUMNS = {
  container: 'CONTAINER',
  repository: 'REPOSITORY',
  tag: 'TAG',
  platform: 'PLATFORM',
  id: 'IMAGE ID',
  size: 'SIZE',
  created: 'CREATED',
};

/** `compose images`: what each replica was made from. */
export const runComposeImages: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const format = flags.choice('format', ['table', 'json']);
  return withStack(invocation, async (stack, project) => {
    const replicas = await stack.ps();
    checkServices(args, { ...project?.services, ...Object.fromEntries(replicas.map((replica) => [replica.service, true])) });
    const images = new Map((await (await (await context.engine()).openImages()).list()).map((image) => [image.id, image]));
    const shown = replicas
      .filter((replica) => args.length === 0 || args.includes(replica.service))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    if (flags.bool('quiet')) {
      context.stdout.write([...new Set(shown.map((replica) => replica.imageId.replace(/^sha256:/, '')))].map((id) => `${id}\n`).join(''));
      return 0;
    }
    const entries = shown.map((replica) => ({ replica, image: images.get(replica.imageId) }));
    context.stdout.write(
      format === 'json'
        ? `${JSON.stringify(entries.map(jsonEntry))}\n`
        : formatListing(
            { columns: COLUMNS, rows: entries.map((entry) => tableRow(entry, context.now())), table: COMPOSE_TABLE, json: 'array' },
            'table',
          ),
    );
    return 0;
  });
};

interface Entry {
  readonly replica: ReplicaStatus;
  /** Undefined when the image was removed since. */
  readonly image: Image | undefined;
}

const tableRow = ({ replica, image }: Entry, now: number): Record<string, string> => ({
  container: replica.name,
  ...imageRepository(replica.image),
  platform: image ? sanitiseName(image.platform) : 'N/A',
  id: shortId(replica.imageId),
  size: image ? humanSize(image.size) : 'N/A',
  created: image ? ago(image.created, now) : 'N/A',
});

const jsonEntry = ({ replica, image }: Entry): Record<string, unknown> => {
  const { repository, tag } = imageRepository(replica.image);
  return {
    ID: replica.imageId,
    ContainerName: replica.name,
    Repository: repository,
    Tag: tag === '<none>' ? '' : tag,
    Platform: image?.platform ?? '',
    Size: image?.size ?? 0,
    Created: image ? new Date(image.created).toISOString() : undefined,
    LastTagTime: '0001-01-01T00:00:00Z',
  };
};
