import type { EngineEvent } from '../../engine/events.ts';
import type { Flags } from '../flags.ts';
import { feedEvent, type ProgressRenderer } from '../render/types.ts';

/** What `up` and `create` show of what happens: without what `--quiet-pull` and `--quiet-build` leave out. */
export const upEvents = (renderer: ProgressRenderer, flags: Flags): ((event: EngineEvent) => void) => {
  const quiet = new Set(flags.given().flatMap(({ name }) => (name.startsWith('quiet-') && flags.bool(name) ? [name] : [])));
  const isHidden = (event: EngineEvent): boolean => {
    if (event.type === 'build') {
      return quiet.has('quiet-build');
    }
    return event.type === 'progress' && quiet.has(imageFlag(event.progress) ?? '');
  };
  return (event) => {
    if (!isHidden(event)) {
      feedEvent(renderer, event);
    }
  };
};

/** Rows of images and their layers; failures are always shown. */
const imageFlag = ({ id, parentId, text, status }: (EngineEvent & { type: 'progress' })['progress']): string | undefined => {
  if (status === 'error' || !(parentId ?? id).startsWith('Image ')) {
    return undefined;
  }
  return text === 'Building' || text === 'Built' ? 'quiet-build' : 'quiet-pull';
};
