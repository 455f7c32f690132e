import { CREATE, RUN, RUNNING } from './day-machines.ts';
import { HOST, IMAGES, VOLUMES_AND_NETWORKS } from './day-objects.ts';

export interface Step {
  readonly section: string;
  /** A line of `sh` in which `docker` is the engine that is asked. */
  readonly line: string;
  /** By its exit code alone: what it prints is another engine's by nature, or not the same twice. */
  readonly exitOnly: boolean;
}

/**
 * A day of docker's commands, in order. Machines, networks, volumes and images of it are called `day-…`, so that what else an engine has does
 * not count. A line that begins with `exit:` is compared by its exit code alone.
 */
export const readDay = (): readonly Step[] =>
  Object.entries({ run: RUN, create: CREATE, running: RUNNING, images: IMAGES, objects: VOLUMES_AND_NETWORKS, host: HOST }).flatMap(
    ([section, lines]) => lines.map((line) => ({ section, line: line.replace(/^exit: /, ''), exitOnly: line.startsWith('exit: ') })),
  );

/** Removes what a day left, before and after it. */
export const CLEAN_UP: readonly string[] = [
  'docker ps -aq --filter name=day- | xargs -r -n 1 docker rm -f -v',
  'for v in day-data day-volume; do docker volume rm -f $v; done; docker network rm day-net',
  'docker rmi -f day-image:1; docker rmi -f day-image:2; docker rmi -f day.test:5000/a/b:c; docker rmi -f day-import:1; docker rmi -f day-built',
];
