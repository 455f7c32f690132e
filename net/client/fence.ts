import { HyprError } from '../../base/errors.ts';
import { runProgram } from '../../base/host/process.ts';
import type { NetworkFence } from '../types.ts';

/** The gateway's one status message, sent when it is ready or gives up. */
export type GatewayStatus = { readonly fence: NetworkFence } | { readonly error: string };

/** The sandbox this kernel offers a gateway, found by setting one up. Throws NET_START with the reason when none is possible. */
export const gatewayFence = async (file: string, signal?: AbortSignal): Promise<NetworkFence> => {
  const result = await runProgram(file, ['fence'], { timeout: 5000, ...(signal ? { signal } : {}) });
  const fence = result.code === 0 ? parseFence(parseJson(result.stdout)) : undefined;
  if (fence === undefined) {
    throw new HyprError('NET_START', `${file} fence ended with exit code ${result.code}`, { details: [result.stderr.trim()] });
  }
  return fence;
};

/** Parses the status line; undefined when it is not one. */
export const parseStatus = (line: string): GatewayStatus | undefined => {
  const value = parseJson(line);
  if (typeof value?.error === 'string') {
    return { error: value.error };
  }
  const fence = value?.ready === true ? parseFence(value.fence) : undefined;
  return fence && { fence };
};

const parseFence = (value: unknown): NetworkFence | undefined => {
  const { landlock, seccomp, nets } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  return typeof landlock === 'number' && Number.isInteger(landlock) && typeof seccomp === 'boolean' && typeof nets === 'boolean'
    ? { landlock, seccomp, nets }
    : undefined;
};

const parseJson = (text: string): Record<string, unknown> | undefined => {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
};
