import { ExpandError, expandWord } from '../../dockerfile/expand.ts';
import type { Dockerfile, StageInstruction } from '../../dockerfile/instruction.ts';
import { lookupIn, type StageState } from '../frame/state.ts';

/** Numbers the steps of a stage and names them as BuildKit does: `[web 2/4] RUN make`. */
export class StepTitles {
  readonly #stage: string;
  readonly #total: number;
  #index = 0;

  constructor(options: { stage: string; total: number }) {
    this.#stage = options.stage;
    this.#total = options.total;
  }

  next(text: string): string {
    this.#index++;
    const width = String(this.#total).length;
    const counter = `${String(this.#index).padStart(width)}/${this.#total}`;
    return `[${this.#stage === '' ? '' : `${this.#stage} `}${counter}] ${text}`;
  }
}

/** What titles call a stage: its name, `stage-N` when there are several, else nothing. */
export const stageTitle = (dockerfile: Dockerfile, index: number): string => {
  const name = dockerfile.stages[index]?.from.name;
  return name ?? (dockerfile.stages.length > 1 ? `stage-${index}` : '');
};

/** COPY, ADD, RUN and WORKDIR count as steps. */
export const countSteps = (instructions: readonly StageInstruction[]): number =>
  instructions.filter(({ kind }) => kind === 'copy' || kind === 'add' || kind === 'run' || kind === 'workdir').length;

/** An instruction as its step is titled: the keyword in capitals, known variables filled in. */
export const titleOf = (text: string, state: StageState, escapeChar: string): string => {
  const upper = text.replace(/^\S+/, (word) => word.toUpperCase());
  try {
    return expandWord(upper, lookupIn(state), { escape: escapeChar, rawQuotes: true, rawEscapes: true, keepUnset: true });
  } catch (error) {
    if (error instanceof ExpandError) {
      return upper;
    }
    throw error;
  }
};
