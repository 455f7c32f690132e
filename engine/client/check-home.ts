import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { listFolder } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { processesWith } from '../../base/host/open-files.ts';
import { identifyProcess, isGone, signalProcess } from '../../base/host/process.ts';
import { type HomePaths, homePaths } from '../../base/paths.ts';
import { findBuildLeftovers } from '../../builder/build.ts';
import { findTemplateLeftovers } from '../../vmm/template/leftovers.ts';
import type { HomeRepair } from '../model/types.ts';
import { checkDatabase } from '../state/check.ts';
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
  return [...faults, ...(await store.verify(signal)).map(({ kind, name, reason }) => `${kind} ${name}: ${reason}`)];
};

/**
 * Saves of the database what can be read, makes parts of the image store again, and removes what is lost. Volumes whose
 * record is lost are recorded again, so that no data is out of reach. Throws STACK_BUSY while somebody has a damaged
 * database open, IMAGE_IN_USE during a pull or build.
 */
export const repairHome = async (signal?: AbortSignal): Promise<HomeRepair> => {
  const paths = homePaths();
  const lock = { what: 'the repair of this home', timeout: 60_000, ...(signal ? { signal } : {}) };
  return await withLock(join(paths.locks, 'repair.lock'), lock, async () => {
    const state = await mendDatabase(paths);
    const store = await openStore(paths);
    const images = await store.repair(signal);
    return { repaired: [...state.repaired, ...images.repaired], lost: [...state.lost, ...images.removed], kept: state.kept };
  });
};

const mendDatabase = async (paths: HomePaths): Promise<HomeRepair> => {
  if (checkDatabase(paths.database).length === 0) {
    return { repaired: [], lost: [], kept: undefined };
  }
  await refuseWhileOpen(paths.database);
  const { kept, lost } = repairDatabase(paths.database);
  return { repaired: await recordVolumes(paths), lost: [...lost, ...(await endUnrecorded(paths))], kept };
};

/** A machine whose record is lost can be reached by no command any more, and holds the disks that its successor needs. */
const endUnrecorded = async ({ database, machines }: HomePaths): Promise<string[]> => {
  const state = openStateReader(database);
  const known = new Set(state.vms().map(({ stack, name }) => join(stack, name)));
  state.close();
  const ended: string[] = [];
  for (const stack of await listFolder(machines)) {
    for (const name of (await listFolder(join(machines, stack))).filter((each) => !known.has(join(stack, each)))) {
      const folder = `${await realpath(join(machines, stack, name))}/`;
      for await (const pid of processesWith((link) => link.startsWith(folder))) {
        const machine = identifyProcess(pid);
        // QEMU writes what its disks still have to say before it ends.
        if (machine !== undefined && signalProcess(machine, 'SIGTERM') && !(await isGone(machine))) {
          signalProcess(machine, 'SIGKILL');
        }
        ended.push(`the machine of ${name}, process ${pid}`);
      }
    }
  }
  return ended;
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
    const known = new Set(state.volumes().map(({ name }) => name));
    const found = (await listFolder(volumes)).flatMap((name) => {
      const form = (['disk', 'folder'] as const).find((each) => existsSync(pathOf(volumes, name, each)));
      return known.has(name) || form === undefined ? [] : [{ name, form }];
    });
    for (const { name, form } of found) {
      state.putVolume({ name, stack: '', key: name, form, path: pathOf(volumes, name, form), labels: {}, createdAt: Date.now() });
    }
    return found.map(({ name }) => `volume ${name}`);
  } finally {
    state.close();
  }
};

const pathOf = (volumes: string, name: string, form: 'disk' | 'folder'): string =>
  join(volumes, name, form === 'disk' ? 'data.ext4' : 'data');
