import type { Project } from '../../compose/model/model.ts';

/** What stands between the parts of a name: `-`, with `--compatibility` `_`. */
export const separatorOf = ({ separator }: Project): string => separator || '-';

/** `shop-web-1` */
export const replicaName = (project: Project, service: string, number: number): string =>
  [project.name, service, number].join(separatorOf(project));

/** The image of a service that is only built: `shop-web`. */
export const builtImage = (project: Project, service: string): string => `${project.name}${separatorOf(project)}${service}`;
