import { sanitiseName } from '../../base/sanitise.ts';
import { runAction } from './actions.ts';
import type { Control } from './effects.ts';
import { jump } from './log-actions.ts';
import { isKeyName } from './state/keys.ts';
import type { DashboardModel } from './state/model.ts';
import { matchingEntries } from './state/palette.ts';
import type { Mode } from './state/ui-state.ts';

/** Pages that move when they are longer than the screen; any other key closes them. */
const PAGES: ReadonlySet<Mode> = new Set(['why', 'help', 'graph']);
const TYPING: ReadonlySet<Mode> = new Set(['search', 'filter', 'scale', 'palette']);

/** Carries out one key press, named as by `keysOf`. */
export const handleKey = (control: Control, key: string): void => {
  const { model, effects } = control;
  const { mode } = model.ui;
  if (key === 'ctrl+c') {
    effects.interrupt();
  } else if (key === 'ctrl+z') {
    effects.suspend();
  } else if (TYPING.has(mode)) {
    handleInput(control, key);
  } else if (mode === 'quit') {
    handleQuestion(control, key);
  } else if (PAGES.has(mode) && stepOf(control, key) !== 0) {
    const wanted = Math.min(control.lastPageTop(), model.ui.pageTop + stepOf(control, key));
    model.change({ pageTop: Math.max(0, wanted) });
  } else if (mode !== 'normal') {
    model.change({ mode: 'normal' });
  } else {
    const action = model.keys.actionOf(key);
    if (action) {
      model.change({ message: '' });
      runAction(control, action);
    }
  }
};

/** Text from the clipboard is text, and no keys: what is typed takes it, nothing else does. */
export const handlePaste = ({ model }: Pick<Control, 'model'>, text: string): void => {
  if (TYPING.has(model.ui.mode)) {
    typeText(model, text.trim());
  } else {
    model.change({ message: 'what was pasted is not taken for keys' });
  }
};

/** By how many lines a key moves a page; 0: it is none that moves. */
const stepOf = ({ page, model }: Control, key: string): number => {
  switch (model.keys.actionOf(key)) {
    case 'down':
      return 1;
    case 'up':
      return -1;
    case 'pageDown':
      return page;
    case 'pageUp':
      return -page;
    default:
      return 0;
  }
};

/** One key of what is typed. */
const handleInput = (control: Control, key: string): void => {
  const { model } = control;
  const { mode, input, chosenEntry } = model.ui;
  if (key === 'escape') {
    model.change({ mode: 'normal', input: '', ...(mode === 'filter' ? { filter: undefined } : {}) });
  } else if (key === 'return') {
    model.change({ mode: 'normal', input: '' });
    accept(control, mode, input);
  } else if (key === 'backspace') {
    model.change({ input: [...input].slice(0, -1).join(''), chosenEntry: 0 });
  } else if (mode === 'palette' && (key === 'down' || key === 'up')) {
    const last = matchingEntries(model.keys.bindings, input).length - 1;
    model.change({ chosenEntry: Math.max(0, Math.min(last, chosenEntry + (key === 'down' ? 1 : -1))) });
  } else if (!isKeyName(key) && !key.startsWith('ctrl+')) {
    typeText(model, key);
  }
};

const typeText = (model: DashboardModel, text: string): void =>
  model.change({ input: (model.ui.input + sanitiseName(text)).slice(0, 200), chosenEntry: 0 });

/** What was typed is taken. */
const accept = (control: Control, mode: Mode, input: string): void => {
  const { model, effects } = control;
  if (mode === 'search') {
    model.change({ search: input });
    jump(control, -1);
  } else if (mode === 'filter') {
    const text = input.replace(/^!/, '');
    model.change({ filter: text === '' ? undefined : { text, inverse: input.startsWith('!') } });
  } else if (mode === 'palette') {
    const entry = matchingEntries(model.keys.bindings, input)[model.ui.chosenEntry];
    if (entry) {
      runAction(control, entry.action);
    }
  } else if (/^\d{1,3}$/.test(input) && model.current) {
    effects.scale(model.current.service, Number(input));
  } else if (input !== '') {
    model.change({ message: `"${input}" is no number of replicas` });
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
