import { HyprError } from '../../base/errors.ts';
import type { BestUrl, UrlRequest } from '../model/edge.ts';
import { findBestUrl, listUrls as listAt } from './best-url.ts';
import { askEdge } from './info.ts';

/** findBestUrl for the process that serves names now. Throws STACK_NOT_RUNNING when none does. */
export const findUrl = async (request: UrlRequest, signal: AbortSignal): Promise<BestUrl> => {
  const info = await askEdge(signal);
  if (info === undefined) {
    throw new HyprError('STACK_NOT_RUNNING', 'names are not served: no stack runs', { hint: 'start this one with: hypr up -d' });
  }
  return findBestUrl(request, info, signal);
};

/** As listUrls of best-url.ts; empty when no process serves names. */
export const listUrls = async (stack: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> => {
  const info = await askEdge(signal);
  return info === undefined ? new Map() : listAt(stack, info, signal);
};
