import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { neverAborts } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { listFolder } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { processesWith } from '../../base/host/open-files.ts';
import { identifyProcess, isGone, signalProcess } from '../../base/host/process.ts';
import { type HomePaths, homePaths } from '../../base/paths.ts';
import { findBuildLeftovers } from '../../builder/build.ts';
import { isMachineProcess } from '../../vmm/backend/own-process.ts';
import { findTemplateLeftovers } from '../../vmm/template/leftovers.ts';
import { giveBackLost, lostCards } from '../../vmm/vfio/take-cards.ts';
import type { HomeRepair } from '../model/types.ts';
import { ANONYMOUS_LABEL } from '../model/volume-name.ts';
import { OWN_NAME } from '../resources/orphan-volumes.ts';
import { checkDatabase } from '../state/check.ts';
import { repairLock } from '../state/database.ts';
import { repairDatabase } from '../state/repair.ts';
import { openStateReader, openStateStore } from '../state/store.ts';
import { openStore } from './storage.ts';

/**
 * One line for each fault of the database and the image store. `onLeftover` is called with what killed processes left
 * behind; it is no fault, and is not removed.
 */
export const checkHome = async (signal?: AbortSignal, onLeftover: (line: string) => void = () => {}): Promise<string[]> => {
  const paths = homePaths();
  const faults = checkDatabase(paths.database);
  const store = await openStore(paths, { sweep: false });
  for (const line of [...(await store.leftovers()), ...(await findBuildLeftovers(paths.build)), ...(await findTemplateLeftovers(paths))]) {
    onLeftover(line);
  }
  const cards = (await lostCards()).map((address) => `card ${address}: its machine is gone, and it was not given back to its driver`);
  return [...faults, ...cards, ...(await store.verify(signal)).map(({ kind, name, reason }) => `${kind} ${name}: ${reason}`)];
};

/**
 * Saves of the database what can be read, makes parts of the image store again, and removes what is lost. Volumes whose
 * record is lost are recorded again, so that no data is out of reach. Throws STACK_BUSY while somebody has a damaged
 * database open, STACK_STATE when a newer hypr wrote it, IMAGE_IN_USE during a pull or build: nothing is changed then.
 */
export const repairHome = async (signal: AbortSignal = neverAborts()): Promise<HomeRepair> => {
  const paths = homePaths();
  const lock = { what: 'the repair of this home', timeout: 60_000, signal };
  return await withLock(join(paths.locks, 'repair.lock'), lock, async () => {
    const isDamaged = checkDatabase(paths.database).length > 0;
    if (isDamaged) {
      await refuseWhileOpen(paths.database);
    }
    // Images first: what can refuse to be repaired does so before anything is changed.
    const store = await openStore(paths);
    const images = await store.repair(signal);
    const state = isDamaged ? await mendDatabase(paths, signal) : { repaired: [], lost: [], kept: undefined };
    const cards = (await giveBackLost()).map((address) => `${address} is with its driver again`);
    return { repaired: [...state.repaired, ...images.repaired, ...cards], lost: [...state.lost, ...images.removed], kept: state.kept };
  });
};

const mendDatabase = async (paths: HomePaths, signal: AbortSignal): Promise<HomeRepair> => {
  const lock = { what: 'the repair of the database', signal };
  const { kept, lost } = await withLock(repairLock(paths.database), lock, async () => {
    // Again, because images take a while. Who opens it from now on sees the lock and closes it.
    await refuseWhileOpen(paths.database);
    return repairDatabase(paths.database);
  });
  return { repaired: await recordVolumes(paths), lost: [...lost, ...(await endUnrecorded(paths, signal))], kept };
};

/** A machine whose record is lost can be reached by no command any more, and holds the disks that its successor needs. */
const endUnrecorded = async ({ database, machines }: HomePaths, signal: AbortSignal): Promise<string[]> => {
  const isRecorded = (stack: string, name: string): boolean => {
    const state = openStateReader(database);
    try {
      return state.vms(stack).some((vm) => vm.name === name);
    } finally {
      state.close();
    }
  };
  const ended: string[] = [];
  for (const stack of await listFolder(machines)) {
    for (const name of await listFolder(join(machines, stack))) {
      signal.throwIfAborted();
      const folder = `${await realpath(join(machines, stack, name))}/`;
      for await (const pid of isRecorded(stack, name) ? [] : processesWith((link) => link.startsWith(folder))) {
        // Asked again: a replica that was made meanwhile has the same folder.
        if (isMachineProcess(pid) && !isRecorded(stack, name)) {
          await endProcess(pid);
          ended.push(`the machine of ${name}, process ${pid}`);
        }
      }
    }
  }
  return ended;
};

/** QEMU writes what its disks still have to say before it ends. */
const endProcess = async (pid: number): Promise<void> => {
  const machine = identifyProcess(pid);
  if (machine !== undefined && signalProcess(machine, 'SIGTERM') && !(await isGone(machine))) {
    signalProcess(machine, 'SIGKILL');
  }
};

/** Who has the old file open would go on writing to it. Machines outlive their supervisor, and the next one takes them over. */
const refuseWhileOpen = async (database: string): Promise<void> => {
  const path = await realpath(database);
  const others: number[] = [];
  for await (const pid of processesWith((link) => link === path || link === `${path}-wal`)) {
    if (pid !== process.pid) {
      others.push(pid);
    }
  }
  if (others.length > 0) {
    throw new HyprError('STACK_BUSY', `${database} is damaged, and other processes of hypr have it open: ${others.join(', ')}`, {
      hint: `end them, their machines go on: kill ${others.join(' ')}`,
    });
  }
};

/** A volume's folder says what it is called and what it is; its stack and its labels are lost with its record. */
const recordVolumes = async ({ database, volumes }: HomePaths): Promise<string[]> => {
  const state = openStateStore(database);
  try {
    const known = new Set(state.volumes().map(({ path }) => path));
    const found = (await listFolder(volumes)).flatMap((name) => {
      const form = (['disk', 'folder'] as const).find((each) => existsSync(pathOf(volumes, name, each)));
      return form === undefined || known.has(pathOf(volumes, name, form)) ? [] : [{ name, form }];
    });
    for (const { name, form } of found) {
      const labels: Record<string, string> = OWN_NAME.test(name) ? { [ANONYMOUS_LABEL]: '' } : {};
      state.putVolume({ name, stack: '', key: name, form, path: pathOf(volumes, name, form), labels, createdAt: Date.now() });
    }
    return found.map(({ name }) => `volume ${name}`);
  } finally {
    state.close();
  }
};

const pathOf = (volumes: string, name: string, form: 'disk' | 'folder'): string =>
  join(volumes, name, form === 'disk' ? 'data.ext4' : 'data');
