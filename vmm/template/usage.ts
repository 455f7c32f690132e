import { join } from 'node:path';
import { diskUsage } from '../../base/host/disk-usage.ts';
import { listFolder } from '../../base/host/files.ts';
import type { HomePaths } from '../../base/paths.ts';
import { findUseless, isTemplateName } from './prune.ts';
import { templatesFolder } from './store.ts';

export interface TemplateUsage {
  readonly key: string;
  readonly bytes: number;
}

/**
 * The disk usage of templates, including incomplete and half-removed ones, and how much of it `pruneTemplates` would free.
 * Reads only.
 */
export const measureTemplates = async (
  paths: HomePaths,
  toolchain: string,
): Promise<{ readonly templates: TemplateUsage[]; readonly bytes: number; readonly reclaimable: number }> => {
  const root = templatesFolder(paths);
  const names = await listFolder(root);
  const useless = new Set(await findUseless(root, names, toolchain));
  const goes = (name: string): boolean => useless.has(name) || name.endsWith('.gone');
  const counted = new Set<string>();
  const templates: TemplateUsage[] = [];
  let [bytes, reclaimable] = [0, 0];
  // Templates that stay are counted first, because blocks that they share with others are not freed.
  for (const name of [...names].sort((a, b) => Number(goes(a)) - Number(goes(b)))) {
    const own = await diskUsage(join(root, name), counted);
    bytes += own;
    reclaimable += goes(name) ? own : 0;
    if (isTemplateName(name)) {
      templates.push({ key: name, bytes: own });
    }
  }
  return { templates, bytes, reclaimable };
};
