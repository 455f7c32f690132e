import { sanitiseName } from '../../base/sanitise.ts';
import type { Control } from './effects.ts';
import { countNewer, findMatch, moveAnchor, readPage } from './logs/log-view.ts';

/** Moves the view by lines. A view that shows the oldest line stays full: a log that fits on the screen does not move. */
export const scroll = ({ model, page }: Control, lines: number): void => {
  const moved = moveAnchor(model.logs, model.view, lines);
  if (lines > 0 || moved === undefined) {
    model.change({ anchor: moved });
    return;
  }
  const shown = readPage(model.logs, { ...model.view, anchor: moved }, page);
  const full = shown.length >= page ? moved : fullPageAt(model, page);
  model.change({ anchor: full !== undefined && countNewer(model.logs, { ...model.view, anchor: full }) > 0 ? full : undefined });
};

/** The lowest line of a page that begins with the oldest line of the view; undefined where that is the newest line, too. */
const fullPageAt = (model: Control['model'], page: number): number | undefined => {
  let count = 0;
  const { view } = model;
  for (const entry of readPage(model.logs, { ...view, anchor: undefined }, Number.POSITIVE_INFINITY)) {
    count += 1;
    if (count === page) {
      return entry.seq;
    }
  }
  return undefined;
};

/** The next match of the search; older ones than are in memory are looked for on disk. */
export const jump = ({ model, effects }: Pick<Control, 'model' | 'effects'>, direction: -1 | 1): void => {
  const { search } = model.ui;
  if (search === '') {
    return;
  }
  const match = findMatch(model.logs, model.view, search, direction);
  if (match !== undefined) {
    model.change({ anchor: match });
  } else if (direction < 0) {
    effects.findOlder();
  } else {
    model.change({ message: `no newer line with "${search}"` });
  }
};

/** Copies the lowest lines of the view as they are seen, without colours. */
export const copy = ({ model, effects }: Control, lines: number): void => {
  const text = readPage(model.logs, model.view, lines)
    .filter((entry) => entry.kind !== 'mark' && entry.kind !== 'gap')
    .map((entry) => sanitiseName(entry.line))
    .join('\n');
  if (text !== '') {
    effects.copy(text);
  }
  model.change({ message: text === '' ? 'nothing to copy' : 'copied' });
};
