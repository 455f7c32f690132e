import type { VolumeSummary } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { checkServices, withStack } from '../core/project.ts';
import { formatListing } from '../format/output.ts';
import { servicesOf } from './verbs.ts';

const COLUMNS = { Driver: 'DRIVER', Name: 'VOLUME NAME' };

/** `volumes`: named volumes by name; of the named services only. Columns and JSON are docker's. */
export const runVolumes: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  return withStack(invocation, async (stack, project) => {
    checkServices(args, project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    const volumes = (await stack.volumes()).filter(({ services }) => args.length === 0 || services.some((name) => args.includes(name)));
    context.stdout.write(
      flags.bool('quiet')
        ? volumes.map(({ name }) => `${name}\n`).join('')
        : formatListing({ columns: COLUMNS, headers: {}, rows: volumes.map(rowOf), json: 'lines' }, flags.string('format')),
    );
    return 0;
  });
};

const rowOf = ({ name, path, labels, createdAt }: VolumeSummary): Record<string, string> => ({
  Driver: 'local',
  Name: name,
  Mountpoint: path,
  Labels: Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(','),
  Scope: 'local',
  CreatedAt: new Date(createdAt).toISOString(),
});
