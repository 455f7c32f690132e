import type { Discovered } from '../files/discover.ts';
import type { Project } from '../model/model.ts';
import type { Struct } from '../schema/field-types.ts';
import { FILE_OBJECT, MODEL, NETWORK, SERVICE, VOLUME } from '../schema/fields.ts';
import { type MapNode, map, toPrinted } from '../source/node.ts';
import { bindStruct, setKey } from './bind.ts';

/**
 * Binds a model to the typed project; every service is still enabled.
 * @throws COMPOSE_INVALID
 */
export const buildProject = (root: MapNode, options: { name: string; found: Discovered }): Project => {
  const { name, found } = options;
  const profiles = found.profiles.filter(Boolean);
  const section = <T>(key: string, type: Struct): Record<string, T> => {
    const out: Record<string, T> = {};
    const node = root.entries.get(key);
    for (const [entry, value] of node?.kind === 'map' ? node.entries : []) {
      setKey(out, entry, bindStruct(value.kind === 'map' ? value : map([], value), type, [key, entry]));
    }
    return out;
  };
  const extensions: Record<string, unknown> = {};
  for (const [key, value] of root.entries) {
    if (key.startsWith('x-')) {
      extensions[key] = toPrinted(value);
    }
  }
  return {
    name,
    workingDir: found.workingDir,
    files: [...found.files],
    ...(found.envFiles.length === 0 ? {} : { envFiles: [...found.envFiles] }),
    ...(profiles.length === 0 ? {} : { profiles }),
    services: section('services', SERVICE),
    disabledServices: {},
    networks: section('networks', NETWORK),
    volumes: section('volumes', VOLUME),
    secrets: section('secrets', FILE_OBJECT),
    configs: section('configs', FILE_OBJECT),
    models: section('models', MODEL),
    extensions,
    environment: Object.fromEntries([...found.environment, ['COMPOSE_PROJECT_NAME', name]]),
  };
};
