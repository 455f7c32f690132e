import { toHyprError } from '../../base/errors.ts';
import { homePaths } from '../../base/paths.ts';
import type { DoctorCheck } from '../../vmm/host/doctor-check.ts';
import { connectApi } from '../api/client/client.ts';
import type { InfoResponseJson } from '../api/gen/hypr_pb.ts';
import { stackPaths } from '../model/stack-paths.ts';
import { VERSION } from '../model/version.ts';
import { openStateReader } from '../state/store.ts';
import { isOfOtherVersion } from './link/supervisor-link.ts';

const ANSWERS_MS = 3_000;

/**
 * Whether supervisors run that another version of hypr has started: they live as long as their stack, also over an upgrade. Fails, and
 * throws nothing, where the database that names the stacks cannot be read: the other checks are needed then above all.
 */
export const checkSupervisors = async (signal?: AbortSignal): Promise<DoctorCheck> => {
  const common = { id: 'supervisors', title: 'Supervisors' };
  let names: string[];
  try {
    names = stackNames();
  } catch (error) {
    const { message, hint } = toHyprError(error);
    return { ...common, status: 'fail', detail: message, ...(hint ? { fix: hint } : {}) };
  }
  const infos = (await Promise.all(names.map((name) => askInfo(name, signal)))).filter((info) => info !== undefined);
  signal?.throwIfAborted();
  const others = infos.filter(isOfOtherVersion);
  if (others.length === 0) {
    const count = infos.length === 0 ? 'none runs' : `${infos.length} run${infos.length === 1 ? 's' : ''}`;
    return { ...common, status: 'ok', detail: `${count}${infos.length === 0 ? '' : `, of this hypr (${VERSION})`}` };
  }
  return {
    ...common,
    status: 'warn',
    detail: `${others.map(({ stack = '', version = '' }) => `that of ${stack} is of hypr ${version}`).join(', ')}; this is ${VERSION}`,
    fix: `kill ${others.map(({ pid = 0 }) => pid).join(' ')}   (machines run on; the next command starts a supervisor that takes them over)`,
  };
};

/** Tells, in one message, of supervisors that another version of hypr has started: an older one may record no events. Never throws. */
export const tellOtherVersions = async (onNotice: (message: string) => void, signal?: AbortSignal): Promise<void> => {
  const check = await checkSupervisors(signal).catch(() => undefined);
  if (check?.status === 'warn') {
    onNotice(`events of older supervisors may be missing: ${check.detail}; ${check.fix}`);
  }
};

const stackNames = (): string[] => {
  const store = openStateReader(homePaths().database);
  try {
    return store.stacks().map(({ name }) => name);
  } finally {
    store.close();
  }
};

/** Undefined where none runs, which is known at once, or where it says nothing. */
const askInfo = async (stack: string, signal: AbortSignal | undefined): Promise<InfoResponseJson | undefined> => {
  const api = connectApi(stackPaths(stack).apiSocket);
  try {
    return await api.rpc.info({}, { timeoutMs: ANSWERS_MS, signal });
  } catch {
    return undefined;
  } finally {
    api.close();
  }
};
