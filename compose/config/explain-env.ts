import { resolve } from 'node:path';
import { formatPlace, HyprError } from '../../base/errors.ts';
import { readEnvSource } from '../files/discover.ts';
import { parseDotenv, parseRawEnv } from '../interpolate/dotenv.ts';
import type { Project } from '../model/model.ts';
import { isNull, type MapNode, mapAt, type Node, stringOf } from '../source/node.ts';
import { type Mark, placeOfMark } from '../source/source.ts';
import { pathOf } from './explain.ts';

/**
 * For `services.NAME.environment` (or one variable of it): the values in the service's env files, which one
 * is used and which are overridden. Empty for other paths.
 */
export const explainEnvFiles = async (dotted: string, options: { tree: MapNode; project: Project; cwd: string }): Promise<string[]> => {
  const [section, name = '', attribute, variable] = pathOf(dotted);
  const service = mapAt(mapAt(options.tree, 'services'), name);
  const files = service?.entries.get('env_file');
  if (section !== 'services' || attribute !== 'environment' || service === undefined || files?.kind !== 'list') {
    return [];
  }
  const own = namesIn(service.entries.get('environment'));
  const said = new Map<string, Array<{ value: string; mark: Mark }>>();
  for (const file of files.items) {
    for (const { key, value, mark } of await readOne(file, options)) {
      said.set(key, [{ value, mark }, ...(said.get(key) ?? [])]);
    }
  }
  return [...said]
    .filter(([key]) => variable === undefined || key === variable)
    .flatMap(([key, values]) => describe(`services.${name}.environment.${key}`, values, own.has(key)));
};

const describe = (path: string, values: ReadonlyArray<{ value: string; mark: Mark }>, isOverridden: boolean): string[] => {
  const text = ({ value, mark }: { value: string; mark: Mark }) => `${JSON.stringify(value)}  # ${formatPlace(placeOfMark(mark))}`;
  const [winner, ...others] = values;
  if (winner === undefined) {
    return [];
  }
  const lost = (isOverridden ? values : others).map((value) => `    replaces ${text(value)}`);
  return isOverridden ? [`${path}: set under environment`, ...lost] : [`${path}: ${text(winner)}`, ...lost];
};

const namesIn = (environment: Node | undefined): Set<string> =>
  environment?.kind === 'map'
    ? new Set(environment.entries.keys())
    : new Set(environment?.kind === 'list' ? environment.items.map((item) => stringOf(item)?.split('=', 1)[0] ?? '') : []);

const readOne = async (
  file: Node,
  { project, cwd }: { project: Project; cwd: string },
): Promise<Array<{ key: string; value: string; mark: Mark }>> => {
  const path = file.kind === 'map' ? stringOf(file.entries.get('path')) : stringOf(file);
  if (!path) {
    return [];
  }
  const found: Array<{ key: string; value: string; mark: Mark }> = [];
  try {
    const source = await readEnvSource(resolve(cwd, path));
    const lookup = (name: string): string | undefined => project.environment[name];
    const isRaw = file.kind === 'map' && !isNull(file.entries.get('format'));
    if (isRaw) {
      const mark = { source, offset: 0 };
      found.push(...[...parseRawEnv(source, lookup)].map(([key, value]) => ({ key, value, mark })));
    } else {
      parseDotenv(source, lookup, { onValue: (key, value, mark) => found.push({ key, value, mark }) });
    }
  } catch (error) {
    if (!(error instanceof HyprError)) {
      throw error;
    }
    // The file is optional, or loading has already reported the error.
  }
  return found;
};
