import type { ServiceVerb } from '../../engine/model/types.ts';
import { replicaLinks } from '../format/summary.ts';
import type { Control } from './effects.ts';
import { copy, jump, scroll } from './log-actions.ts';
import type { Action } from './state/keys.ts';
import type { DashboardModel } from './state/model.ts';

/** Does what a key or an entry of the palette stands for. */
export const runAction = (control: Control, action: Action): void => ACTIONS[action](control);

const verb =
  (name: ServiceVerb) =>
  ({ model, effects }: Control): void => {
    if (model.current) {
      effects.verb(name, model.current.service);
    }
  };

/** Of the replica under the cursor, if that runs. */
const onRunning =
  (work: (effects: Control['effects'], replica: string) => void) =>
  ({ model, effects }: Control): void => {
    const { current } = model;
    if (current?.state === 'running') {
      work(effects, current.name);
    } else {
      model.change({ message: `${current?.service ?? 'nothing'} does not run` });
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
  select: ({ model }) => toggleChosen(model),
  all: ({ model }) => model.change({ showAll: !model.ui.showAll, chosen: new Set(), anchor: undefined }),
  why: ({ model, effects }) => model.current && effects.why(model.current.service),
  restart: verb('restart'),
  stop: verb('stop'),
  start: verb('start'),
  kill: verb('kill'),
  pause: (control) => verb(control.model.current?.state === 'paused' ? 'unpause' : 'pause')(control),
  rebuild: ({ model, effects }) => model.current && effects.rebuild(model.current.service),
  scale: ({ model }) => model.change({ mode: 'scale', input: '' }),
  shell: onRunning((effects, replica) => effects.shell(replica)),
  attach: onRunning((effects, replica) => effects.attach(replica)),
  open: ({ model, effects }) => {
    const url = model.current && replicaLinks(model.current, model.urls.get(model.current.service)).find((link) => link.startsWith('http'));
    if (url) {
      effects.openUrl(url);
    }
    model.change({ message: url ? `opening ${url}` : 'nothing to open: no web port and no published one' });
  },
  follow: ({ model }) => model.change({ anchor: model.ui.anchor === undefined ? model.logs.newest : undefined }),
  wrap: ({ model }) => model.change({ wrap: !model.ui.wrap }),
  timestamps: ({ model }) => model.change({ timestamps: !model.ui.timestamps }),
  pretty: ({ model }) => model.change({ pretty: !model.ui.pretty }),
  search: ({ model }) => model.change({ mode: 'search', input: '' }),
  next: (control) => jump(control, -1),
  previous: (control) => jump(control, 1),
  filter: ({ model }) => model.change({ mode: 'filter', input: '' }),
  pageUp: (control) => scroll(control, -control.page),
  pageDown: (control) => scroll(control, control.page),
  top: ({ effects }) => effects.toStart(),
  bottom: ({ model }) => model.change({ anchor: undefined }),
  mark: ({ model }) => {
    model.logs.mark(model.now());
    model.touch();
  },
  clear: ({ model }) => model.change({ clearedTo: model.logs.newest, anchor: undefined }),
  copyLine: (control) => copy(control, 1),
  copyView: (control) => copy(control, control.page),
  raw: ({ effects }) => effects.raw(),
  watch: ({ effects }) => effects.watch(),
  objects: ({ effects }) => effects.objects(),
  remove: ({ model }) => model.change({ message: onObjects(model) }),
  prune: ({ model }) => model.change({ message: onObjects(model) }),
  graph: ({ model }) => model.change({ mode: 'graph', pageTop: 0 }),
  palette: ({ model }) => model.change({ mode: 'palette', input: '', chosenEntry: 0 }),
  detach: ({ effects }) => effects.leave('detach'),
  quit: ({ model }) => model.change({ mode: 'quit' }),
  help: ({ model }) => model.change({ mode: 'help', pageTop: 0 }),
};

const onObjects = ({ keys }: DashboardModel): string => `this is for volumes, networks and images: ${keys.labelOf('objects')}`;

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
