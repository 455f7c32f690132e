import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno, messageOf } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { identifyProcess, isAlive, mustRun, type ProcessIdentity } from '../../base/host/process.ts';
import { logger } from '../../base/log.ts';
import type { CardWish, MachineSpec } from '../model/machine.ts';
import { type Card, type CardHost, VFIO_DRIVER } from './card.ts';
import { chooseCards } from './choose-cards.ts';
import { groupFile, isRoot, REAL_ROOTS, readCards } from './read-cards.ts';
import type { CardRoots } from './sysfs.ts';

const log = logger('cards');

export interface CardHands extends CardRoots {
  /** Where it is noted which driver a card goes back to: gone at the next boot, as what it is about. */
  readonly notes: string;
}

export const REAL_HANDS: CardHands = { ...REAL_ROOTS, notes: '/run/hypr-cards' };

/** What a card goes back to. */
interface Note {
  readonly driver: string | null;
  /** The folder of the machine that has it, as in its record. */
  readonly runDir: string;
  /** Who took it: until there is a machine, nobody else has it open. */
  readonly owner: ProcessIdentity | undefined;
}

/** Groups that machines of this process are about to open. */
const reserved = new Set<string>();

export interface TakenCards {
  readonly cards: ReadonlyArray<{ readonly address: string }>;
  /** The machine has opened them, or will not. */
  readonly settled: () => void;
}

/**
 * Takes what a machine wants from their drivers, where this is needed and may be done (root), and notes what they go back to. Throws
 * HYPR_UNSUPPORTED, VMM_START; then none is taken.
 */
export const takeCards = (
  machine: Pick<MachineSpec, 'name' | 'runDir'>,
  wishes: readonly CardWish[],
  hands: CardHands = REAL_HANDS,
): Promise<TakenCards> => {
  const take = (): Promise<TakenCards> => takeChosen(machine, wishes, hands);
  return isRoot(hands) ? alone(hands, take) : take();
};

const takeChosen = async (
  { name, runDir }: Pick<MachineSpec, 'name' | 'runDir'>,
  wishes: readonly CardWish[],
  hands: CardHands,
): Promise<TakenCards> => {
  const host = await readCards(hands);
  const others = await groupsOfOthers(host, hands);
  const cards = chooseCards(name, wishes, host, new Set([...reserved, ...others]));
  const groups = cards.flatMap(({ group }) => group ?? []);
  for (const group of groups) {
    reserved.add(group);
  }
  const settled = (): void => groups.forEach((group) => void reserved.delete(group));
  try {
    for (const card of cards) {
      await takeOne(card, runDir, hands);
    }
    return { cards: cards.map(({ address }) => ({ address })), settled };
  } catch (error) {
    await giveBackOf(runDir, hands);
    settled();
    throw error;
  }
};

const LOCK_MS = 120_000;

/** Supervisors of several stacks take and give back one after another: what one has seen of a card holds until it is noted. */
const alone = async <T>(hands: CardHands, work: () => Promise<T>): Promise<T> => {
  await mkdir(hands.notes, { recursive: true, mode: 0o700 });
  return withLock(join(hands.notes, 'lock'), { what: 'the cards of this host', timeout: LOCK_MS }, work);
};

/** Groups that another supervisor took for a machine, which may not have opened them yet. */
const groupsOfOthers = async ({ cards }: CardHost, hands: CardHands): Promise<string[]> => {
  const notes = await readNotes(hands);
  const taken = notes.filter(([, { owner }]) => owner !== undefined && owner.pid !== process.pid && isAlive(owner));
  return taken.flatMap(([address]) => cards.find((card) => card.address === address)?.group ?? []);
};

/** One that has the driver already stays noted as it is, if an earlier machine took it and was killed with its supervisor. */
const takeOne = async ({ address, driver }: Card, runDir: string, hands: CardHands): Promise<void> => {
  const earlier = await readNote(address, hands);
  if (driver === VFIO_DRIVER && earlier === undefined) {
    return;
  }
  const note: Note = {
    // Without a driver it is between two: who took it was killed there.
    driver: (driver === VFIO_DRIVER ? undefined : driver) ?? earlier?.driver ?? null,
    runDir,
    owner: identifyProcess(process.pid),
  };
  await writeFile(notePath(address, hands), JSON.stringify(note), { mode: 0o600 });
  if (driver !== VFIO_DRIVER) {
    await loadDriver(hands);
    await rebind(address, VFIO_DRIVER, hands);
    log.info('took a card', { card: address, from: driver ?? 'nobody' });
  }
};

/** Gives back what was taken for the machine of this folder, whose process is gone. Safe to repeat; what fails is logged and stays noted. */
export const giveBackCards = async (runDir: string, hands: CardHands = REAL_HANDS): Promise<void> => {
  if ((await readNotes(hands)).some(([, note]) => note.runDir === runDir)) {
    await alone(hands, () => giveBackOf(runDir, hands)).catch((error: unknown) => {
      log.warn('cards were not given back', { runDir, reason: messageOf(error) });
    });
  }
};

const giveBackOf = async (runDir: string, hands: CardHands): Promise<void> => {
  for (const [address, note] of await readNotes(hands)) {
    if (note.runDir === runDir) {
      await giveBack(address, note, hands);
    }
  }
};

const giveBack = async (address: string, { driver }: Note, hands: CardHands): Promise<boolean> => {
  try {
    await rebind(address, driver, hands);
    await rm(notePath(address, hands), { force: true });
    log.info('gave a card back', { card: address, to: driver ?? 'nobody' });
    return true;
  } catch (error) {
    log.warn('a card was not given back', { card: address, driver, reason: messageOf(error) });
    return false;
  }
};

/** Addresses of cards whose machine is gone and which were not given back: it and its supervisor were killed. */
export const lostCards = async (hands: CardHands = REAL_HANDS): Promise<string[]> => {
  const notes = await readNotes(hands);
  const { cards, groups } = notes.length === 0 ? { cards: [], groups: new Map() } : await readCards(hands);
  return notes.flatMap(([address, { owner }]) => {
    const group = cards.find((card) => card.address === address)?.group;
    return (owner !== undefined && isAlive(owner)) || groups.get(group ?? '') === 'busy' ? [] : [address];
  });
};

/** Gives them back, and tells which. */
export const giveBackLost = async (hands: CardHands = REAL_HANDS): Promise<string[]> =>
  (await lostCards(hands)).length === 0
    ? []
    : alone(hands, async () => {
        const given: string[] = [];
        for (const address of await lostCards(hands)) {
          const note = await readNote(address, hands);
          if (note !== undefined && (await giveBack(address, note, hands))) {
            given.push(address);
          }
        }
        return given;
      });

const deviceFile = (address: string, name: string, { sys }: CardHands): string => join(sys, 'bus/pci/devices', address, name);

/** The override comes first, so that no other driver takes it meanwhile; without one the kernel looks for the driver itself. */
const rebind = async (address: string, driver: string | null, hands: CardHands): Promise<void> => {
  await writeFile(deviceFile(address, 'driver_override', hands), driver === VFIO_DRIVER ? VFIO_DRIVER : '\n');
  await writeFile(deviceFile(address, 'driver/unbind', hands), address).catch(unlessAbsent);
  if (driver !== null) {
    await writeFile(join(hands.sys, 'bus/pci/drivers_probe'), address);
  }
  const { cards } = await readCards(hands);
  const now = cards.find((card) => card.address === address)?.driver;
  if (driver !== null && now !== driver) {
    throw new HyprError('VMM_START', `${address} did not get the driver ${driver}${now === undefined ? '' : `, but ${now}`}`);
  }
};

const unlessAbsent = (error: unknown): void => {
  if (!isErrno(error, 'ENOENT')) {
    throw error;
  }
};

const MODPROBE_MS = 30_000;

const loadDriver = async ({ sys }: CardHands): Promise<void> => {
  if (!(await exists(join(sys, 'bus/pci/drivers', VFIO_DRIVER)))) {
    await mustRun('modprobe', [VFIO_DRIVER], { signal: AbortSignal.timeout(MODPROBE_MS) }).catch((error: unknown) => {
      throw new HyprError('VMM_START', `the driver vfio-pci is not loaded: ${messageOf(error)}`, { hint: 'sudo modprobe vfio-pci' });
    });
  }
};

const notePath = (address: string, { notes }: CardHands): string => join(notes, `${address}.json`);

const readNotes = async (hands: CardHands): Promise<Array<readonly [string, Note]>> => {
  const names = await readdir(hands.notes).catch(() => []);
  const read = names
    .filter((name) => name.endsWith('.json'))
    .map(async (name) => [name.slice(0, -'.json'.length), await readNote(name.slice(0, -5), hands)] as const);
  return (await Promise.all(read)).flatMap(([address, note]) => (note === undefined ? [] : [[address, note] as const]));
};

const readNote = async (address: string, hands: CardHands): Promise<Note | undefined> => {
  try {
    return JSON.parse(await readFile(notePath(address, hands), 'utf8')) as Note;
  } catch {
    return undefined;
  }
};

/** The files of the groups that a machine with these cards opens. */
export const groupFiles = async (addresses: readonly string[], hands: CardRoots = REAL_ROOTS): Promise<string[]> => {
  const { cards } = await readCards(hands);
  return [
    ...new Set(
      cards
        .filter(({ address }) => addresses.includes(address))
        .flatMap(({ group }) => (group === undefined ? [] : [groupFile(group, hands)])),
    ),
  ];
};
