import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { HyprError, isErrno, messageOf } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/host/files.ts';
import { mustRun } from '../../base/host/process.ts';
import { type HomePaths, homePaths, shortHash } from '../../base/paths.ts';
import { createQemuVmm } from '../backend/qemu-backend.ts';
import type { Vmm } from '../model/machine.ts';
import type { Toolchain } from '../model/tools.ts';
import type { Accelerator } from '../qemu/accelerator.ts';
import { createTemplates } from '../template/index.ts';
import type { Templates } from '../template/types.ts';
import { runProbeGuest } from './probe-guest.ts';

/** There is no /dev/kvm, this user may not open it, a guest failed on it, or did not get on. */
export type KvmRefusal = 'no-device' | 'no-permission' | 'no-guest' | 'no-answer';

export interface Verdict {
  readonly accelerator: Accelerator;
  /** For people: why KVM is or is not used. */
  readonly reason: string;
  /** Why KVM cannot be used; absent when it can, or when HYPR_ACCEL decides and KVM was not tried. */
  readonly refusal?: KvmRefusal;
  /** The host's time stamp counter in kHz. */
  readonly tscKhz: number;
  /** Milliseconds since the epoch. */
  readonly found: number;
}

const KVM = '/dev/kvm';
const DAY_MS = 24 * 3600 * 1000;
/** A refusal is tried again after a while, because its cause may have been temporary, as a host that was too busy; a success is not. */
const REFUSAL_AGE_MS: Record<KvmRefusal, number> = {
  'no-device': 7 * DAY_MS,
  'no-permission': 7 * DAY_MS,
  'no-guest': 7 * DAY_MS,
  'no-answer': DAY_MS,
};

/**
 * Chooses between KVM and software emulation. KVM counts only after a real guest reached its agent on
 * it: /dev/kvm can open, create a machine and still fail to run Linux. The verdict is kept until the
 * kernel, its KVM modules, the device's rights or the toolchain change. HYPR_ACCEL=kvm|tcg overrides.
 * Machines are clones of templates where they can be; HYPR_TEMPLATES=0 makes all of them boot.
 */
export const chooseVmm = async (options: {
  toolchain: Toolchain;
  paths?: HomePaths;
  signal?: AbortSignal;
  /** Try KVM again if it was refused. */
  refresh?: boolean;
}): Promise<{ vmm: Vmm; verdict: Verdict; templates: Templates | undefined }> => {
  const { toolchain } = options;
  const paths = options.paths ?? homePaths();
  const path = join(paths.cache, `accelerator-${await verdictKey(toolchain)}.json`);
  const stored = await readVerdict(path);
  const known = stored !== undefined && isOver(stored, options.refresh === true) ? undefined : stored;
  const verdict = known ?? (await findVerdict(toolchain, options.signal));
  if (known === undefined) {
    await writeFileAtomic(path, JSON.stringify(verdict));
  }
  const settings = { toolchain, accelerator: verdict.accelerator, tscKhz: verdict.tscKhz };
  const templates = process.env.HYPR_TEMPLATES === '0' ? undefined : createTemplates({ settings, paths });
  return { vmm: createQemuVmm({ ...settings, ...(templates ? { templates } : {}) }), verdict, templates };
};

const isOver = ({ accelerator, refusal, found }: Verdict, refresh: boolean): boolean =>
  accelerator === 'tcg' && (refresh || Date.now() - found > REFUSAL_AGE_MS[refusal ?? 'no-guest']);

const findVerdict = async (toolchain: Toolchain, signal?: AbortSignal): Promise<Verdict> => {
  const facts = { tscKhz: await measureTsc(toolchain), found: Date.now() };
  const forced = process.env.HYPR_ACCEL ?? '';
  if (forced === 'tcg' || forced === 'kvm') {
    return { accelerator: forced, reason: `HYPR_ACCEL=${forced}`, ...facts };
  }
  if (forced !== '') {
    throw new HyprError('HYPR_USAGE', `HYPR_ACCEL is ${JSON.stringify(forced)}; it can be kvm or tcg`);
  }
  const refusal = await kvmRefusal(toolchain, facts.tscKhz, signal);
  return refusal === undefined
    ? { accelerator: 'kvm', reason: 'a guest ran on KVM', ...facts }
    : { accelerator: 'tcg', ...refusal, ...facts };
};

/** Why KVM cannot be used; undefined when a guest ran on it. */
const kvmRefusal = async (
  toolchain: Toolchain,
  tscKhz: number,
  signal?: AbortSignal,
): Promise<Required<Pick<Verdict, 'reason' | 'refusal'>> | undefined> => {
  try {
    await access(KVM, constants.R_OK | constants.W_OK);
  } catch (error) {
    return isErrno(error, 'ENOENT')
      ? { refusal: 'no-device', reason: 'there is no /dev/kvm' }
      : { refusal: 'no-permission', reason: '/dev/kvm may not be opened by this user' };
  }
  try {
    await runProbeGuest(createQemuVmm({ toolchain, accelerator: 'kvm', tscKhz }), signal);
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    const refusal = error instanceof HyprError && error.code === 'HYPR_TIMEOUT' ? 'no-answer' : 'no-guest';
    return { refusal, reason: `/dev/kvm is there, but no Linux guest runs on it (${messageOf(error)})` };
  }
};

const measureTsc = async (toolchain: Toolchain): Promise<number> => {
  const { stdout } = await mustRun(toolchain.tsc, [], { timeout: 10_000 });
  const khz = Number(stdout.trim());
  if (!(khz > 100_000)) {
    throw new HyprError('TOOLCHAIN_FAILED', `this host's clock could not be measured (${stdout.trim()})`);
  }
  return khz;
};

const readVerdict = async (path: string): Promise<Verdict | undefined> => {
  try {
    const verdict = JSON.parse(await readFile(path, 'utf8')) as Partial<Verdict> | null;
    const isWhole = (verdict?.accelerator === 'kvm' || verdict?.accelerator === 'tcg') && typeof verdict.tscKhz === 'number';
    return isWhole && typeof verdict?.found === 'number' ? (verdict as Verdict) : undefined;
  } catch (error) {
    // An unreadable verdict is determined again.
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
};

const verdictKey = async (toolchain: Toolchain): Promise<string> => {
  const modules = await readFile('/proc/modules', 'utf8').catch(() => '');
  const kvm = modules
    .split('\n')
    .map((line) => line.split(' ', 1)[0] ?? '')
    .filter((name) => name.startsWith('kvm'))
    .sort();
  const device = await stat(KVM).catch(() => undefined);
  const facts = [
    release(),
    cpus()[0]?.model,
    toolchain.id,
    kvm,
    device?.mode,
    device?.gid,
    process.getuid?.(),
    process.getgroups?.(),
    process.env.HYPR_ACCEL,
  ];
  return shortHash(JSON.stringify(facts), 12);
};
