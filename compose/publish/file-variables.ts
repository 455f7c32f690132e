import { HyprError } from '../../base/errors.ts';
import { listVariables, type Variable } from '../interpolate/variables.ts';
import type { LoadContext } from '../load/load-context.ts';
import { readParsed } from '../load/model-loader.ts';
import { Budget } from '../model/limits.ts';
import { Warnings } from '../model/warnings.ts';

/** Reads files as they are written: nothing filled in, nothing fetched. */
export const rawContext = (signal: AbortSignal): LoadContext => ({
  budget: new Budget(),
  warnings: new Warnings(),
  stdin: () => Promise.reject(new HyprError('HYPR_USAGE', 'standard input was read already')),
  fetchFile: undefined,
  signal,
  interpolate: false,
  validate: false,
  cache: new Map(),
  extended: new WeakMap(),
  objectVariables: new Map(),
});

/** The variables that these files use, by name. */
export const variablesOf = async (files: readonly string[], signal: AbortSignal): Promise<Variable[]> => {
  const context = rawContext(signal);
  const found = new Map<string, Variable>();
  for (const file of files.filter((each) => each !== '-')) {
    for (const { root } of (await readParsed(file, context)).documents) {
      for (const variable of listVariables(root)) {
        found.set(variable.name, variable);
      }
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
};
