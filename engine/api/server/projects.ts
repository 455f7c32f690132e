import { HyprError } from '../../../base/errors.ts';
import type { Project } from '../../../compose/model/model.ts';
import type * as pb from '../gen/hypr_pb.ts';

/** The model in a request. Throws HYPR_USAGE when it is missing. */
export const needProject = (message: pb.Project | undefined): Project => {
  if (message === undefined || message.name === '') {
    throw new HyprError('HYPR_USAGE', 'the request needs a project: what `hypr compose config --format json` prints, with its environment');
  }
  return projectOf(message);
};

/** Compose's own definitions are Compose's JSON. */
export const projectOf = ({
  $typeName,
  $unknown,
  workingDir,
  extensions,
  separator,
  envFiles,
  profiles,
  ...given
}: pb.Project): Project => ({
  ...(given as unknown as Omit<Project, 'workingDir' | 'extensions'>),
  ...(envFiles.length === 0 ? {} : { envFiles }),
  ...(profiles.length === 0 ? {} : { profiles }),
  workingDir: workingDir === '' ? '/' : workingDir,
  ...(separator === '' ? {} : { separator }),
  extensions: extensions ?? {},
});
