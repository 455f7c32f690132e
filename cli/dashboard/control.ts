import { sanitiseName } from '../../base/sanitise.ts';
import type { ServiceVerb } from '../../engine/model/types.ts';
import { replicaLinks } from '../format/summary.ts';
import { type Action, actionOfKey, isKeyName } from './keys.ts';
import { findMatch, moveAnchor, readPage } from './log-view.ts';
import type { DashboardModel } from './model.ts';

/** Actions of keys beyond the screen. */
export interface Effects {
  verb(verb: ServiceVerb, service: string): void;
  openUrl(url: string): void;
  copy(text: string): void;
  /** Ctrl-C: stop the stack, then kill it. */
  interrupt(): void;
  leave(how: 'detach' | 'stop'): void;
  suspend(): void;
}

export interface Control {
  readonly model: DashboardModel;
  readonly effects: Effects;
  /** Rows of the log pane. */
  readonly page: number;
}

/** Carries out one key press, named as by `nameOfKey`. */
export const handleKey = (control: Control, key: string): void => {
  const { model, effects } = control;
  if (isBurst(key) && model.ui.mode !== 'search' && model.ui.mode !== 'filter') {
    for (const character of key) {
      handleKey(control, character);
    }
  } else if (key === 'ctrl+c') {
    effects.interrupt();
  } else if (key === 'ctrl+z') {
    effects.suspend();
  } else if (model.ui.mode === 'search' || model.ui.mode === 'filter') {
    handleInput(control, key);
  } else if (model.ui.mode === 'quit') {
    handleQuestion(control, key);
  } else if (model.ui.mode === 'help') {
    model.change({ mode: 'normal' });
  } else {
    const action = actionOfKey(key);
    if (action) {
      model.change({ message: '' });
      ACTIONS[action](control);
    }
  }
};

/** Keys that are pressed faster than they are read arrive as one text. */
const isBurst = (key: string): boolean => key.length > 1 && !key.startsWith('ctrl+') && !isKeyName(key);

/** Typing a search or a filter; several characters at once are a paste. */
const handleInput = ({ model }: Control, key: string): void => {
  const { mode, input, filter } = model.ui;
  if (key === 'escape') {
    model.change(mode === 'filter' ? { mode: 'normal', input: '', filter: undefined } : { mode: 'normal', input: '' });
  } else if (key === 'return' && mode === 'search') {
    model.change({ mode: 'normal', input: '', search: input });
    jump(model, -1);
  } else if (key === 'return') {
    const text = input.replace(/^!/, '');
    model.change({ mode: 'normal', input: '', filter: text === '' ? undefined : { text, inverse: input.startsWith('!') } });
  } else if (key === 'backspace') {
    model.change({ input: [...input].slice(0, -1).join('') });
  } else if (!isKeyName(key) && !key.startsWith('ctrl+')) {
    model.change({ input: (input + sanitiseName(key)).slice(0, 200), filter });
  }
};

/** `q` asks for confirmation; only an explicit answer is a yes. */
const handleQuestion = ({ model, effects }: Control, key: string): void => {
  if (key === 's') {
    effects.leave('stop');
  } else if (key === 'd') {
    effects.leave('detach');
  } else if (key === 'escape' || key === 'n' || key === 'q') {
    model.change({ mode: 'normal' });
  }
};

const verb =
  (name: ServiceVerb) =>
  ({ model, effects }: Control): void => {
    if (model.current) {
      effects.verb(name, model.current.service);
    }
  };

const ACTIONS: Readonly<Record<Action, (control: Control) => void>> = {
  down: (control) => move(control, 1),
  up: (control) => move(control, -1),
  focus: ({ model }) => model.change({ focus: 'logs' }),
  back: ({ model }) =>
    model.change(
      model.ui.search !== '' || model.ui.filter
        ? { search: '', filter: undefined }
        : { focus: 'list', anchor: undefined, chosen: new Set() },
    ),
  restart: verb('restart'),
  stop: verb('stop'),
  start: verb('start'),
  kill: verb('kill'),
  shell: ({ model }) =>
    model.change({ message: `in another terminal: hypr -p ${model.stack} exec ${model.current?.service ?? 'SERVICE'} sh` }),
  open: ({ model, effects }) => {
    const url = model.current && replicaLinks(model.current, model.urls.get(model.current.service)).find((link) => link.startsWith('http'));
    if (url) {
      effects.openUrl(url);
    }
    model.change({ message: url ? `opening ${url}` : 'nothing to open: no web port and no published one' });
  },
  detach: ({ effects }) => effects.leave('detach'),
  quit: ({ model }) => model.change({ mode: 'quit' }),
  follow: ({ model }) => model.change({ anchor: model.ui.anchor === undefined ? model.logs.newest : undefined }),
  wrap: ({ model }) => model.change({ wrap: !model.ui.wrap }),
  timestamps: ({ model }) => model.change({ timestamps: !model.ui.timestamps }),
  top: (control) => scroll(control, -Number.MAX_SAFE_INTEGER),
  bottom: ({ model }) => model.change({ anchor: undefined }),
  pageUp: (control) => scroll(control, -control.page),
  pageDown: (control) => scroll(control, control.page),
  search: ({ model }) => model.change({ mode: 'search', input: '' }),
  next: ({ model }) => jump(model, -1),
  previous: ({ model }) => jump(model, 1),
  filter: ({ model }) => model.change({ mode: 'filter', input: '' }),
  all: ({ model }) => model.change({ showAll: !model.ui.showAll, chosen: new Set(), anchor: undefined }),
  select: ({ model }) => toggleChosen(model),
  mark: ({ model }) => {
    model.logs.mark(model.now());
    model.touch();
  },
  clear: ({ model }) => model.change({ clearedTo: model.logs.newest, anchor: undefined }),
  copyLine: (control) => copy(control, 1),
  copyView: (control) => copy(control, control.page),
  help: ({ model }) => model.change({ mode: 'help' }),
};

const move = (control: Control, step: 1 | -1): void => {
  const { model } = control;
  if (model.ui.focus === 'logs') {
    scroll(control, step);
    return;
  }
  const names = model.sorted.map((replica) => replica.name);
  const index = names.indexOf(model.current?.name ?? '') + step;
  const cursor = names[Math.min(Math.max(index, 0), names.length - 1)];
  // Moving through the list shows the logs of one replica after the other, unless some were selected.
  model.change({ cursor, showAll: false, anchor: undefined });
};

const scroll = ({ model, page }: Control, lines: number): void => {
  if (lines === -Number.MAX_SAFE_INTEGER) {
    const oldest = readPage(model.logs, model.view, Number.POSITIVE_INFINITY);
    model.change({ anchor: oldest[Math.min(page, oldest.length) - 1]?.seq ?? model.ui.anchor });
  } else {
    model.change({ anchor: moveAnchor(model.logs, model.view, lines) });
  }
};

const jump = (model: DashboardModel, direction: -1 | 1): void => {
  if (model.ui.search === '') {
    return;
  }
  const match = findMatch(model.logs, model.view, model.ui.search, direction);
  model.change(
    match === undefined ? { message: `no ${direction < 0 ? 'older' : 'newer'} line with "${model.ui.search}"` } : { anchor: match },
  );
};

const toggleChosen = (model: DashboardModel): void => {
  const cursor = model.current?.name;
  if (cursor !== undefined) {
    const chosen = new Set(model.ui.chosen);
    if (!chosen.delete(cursor)) {
      chosen.add(cursor);
    }
    model.change({ chosen, anchor: undefined });
  }
};

const copy = ({ model, effects }: Control, lines: number): void => {
  const text = readPage(model.logs, model.view, lines)
    .filter((entry) => entry.replica !== '')
    .map((entry) => sanitiseName(entry.line))
    .join('\n');
  if (text !== '') {
    effects.copy(text);
  }
  model.change({ message: text === '' ? 'nothing to copy' : 'copied' });
};
