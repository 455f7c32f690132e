import type { Project } from '../../../compose/model/model.ts';
import type { DownOptions, ExecOptions, RunOptions, ServiceVerb, UpOptions, VerbOptions } from '../../model/types.ts';
import type { DownRequestJson, ExecStartJson, ProjectJson, RunStartJson, UpRequestJson, VerbRequestJson } from '../gen/hypr_pb.ts';
import { type Sent, toEnum } from './values.ts';

/**
 * Converts a command's requests to messages; engine/api/server/requests.ts converts them back. Most members have the
 * same names in hypr.proto.
 */

export const upJson = (project: Project, options: UpOptions): Sent<UpRequestJson> => ({
  project: projectJson(project),
  options: { ...options, pull: toEnum('PULL', options.pull) },
});

export const downJson = (project: Project | undefined, options: DownOptions): Sent<DownRequestJson> => ({
  project: project && projectJson(project),
  options: { ...options, removeImages: toEnum('REMOVE_IMAGES', options.removeImages) },
});

export const verbJson = (verb: ServiceVerb, project: Project | undefined, options: VerbOptions): Sent<VerbRequestJson> => ({
  verb: toEnum('VERB', verb),
  project: project && projectJson(project),
  options,
});

export const execJson = (options: ExecOptions): Sent<ExecStartJson> => options;

export const runJson = (project: Project, options: RunOptions): Sent<RunStartJson> => ({
  project: projectJson(project),
  options: {
    ...options,
    entrypoint: options.entrypoint && { args: options.entrypoint },
    remove: toEnum('REMOVE', options.remove),
    pull: toEnum('PULL', options.pull),
  },
});

/** Compose's own definitions are JSON already. */
const projectJson = (project: Project): Sent<ProjectJson> => project as unknown as Sent<ProjectJson>;
