import type { Project } from '../../../compose/model/model.ts';
import type { EngineEvent } from '../../../engine/model/events.ts';
import type { Stack } from '../../../engine/model/types.ts';
import type { Invocation } from '../../core/command-spec.ts';
import type { Flags } from '../../core/flags.ts';
import { movedPorts, movesPorts } from '../../core/move-ports.ts';
import { feedEvent, type ProgressRenderer } from '../../render/types.ts';

/**
 * What `up` and `create` show of what happens. As in docker compose, `--quiet-pull` leaves out the layers of images, and
 * `--quiet-build` the steps of builds; that an image is pulled or built stays.
 */
export const upEvents = (renderer: ProgressRenderer, flags: Flags): ((event: EngineEvent) => void) => {
  const quiet = new Set(flags.given().flatMap(({ name }) => (name.startsWith('quiet-') && flags.bool(name) ? [name] : [])));
  const isHidden = (event: EngineEvent): boolean =>
    (event.type === 'build' && quiet.has('quiet-build')) || (isLayer(event) && quiet.has('quiet-pull'));
  return (event) => {
    if (!isHidden(event)) {
      feedEvent(renderer, event);
    }
  };
};

const isLayer = (event: EngineEvent): boolean =>
  event.type === 'progress' && event.progress.status !== 'error' && event.progress.parentId?.startsWith('Image ') === true;

/** Warns of ports that are published elsewhere than the file says. */
export const tellMovedPorts = async (
  { flags, context }: Invocation,
  stack: Pick<Stack, 'ps'>,
  loaded: Project,
  renderer: ProgressRenderer,
): Promise<void> => {
  for (const message of movesPorts(flags, context) ? movedPorts(loaded, await stack.ps()) : []) {
    renderer.onWarning(message);
  }
};
