import { HyprError } from '../../base/errors.ts';
import type { CardWish } from '../model/machine.ts';
import { type Card, type CardHost, groupOf, isGpu } from './card.ts';
import { judgeCard } from './judge.ts';

/**
 * Pure: the cards of this host for what a machine wants, with everything in their IOMMU groups. `reserved` are groups that another machine is
 * about to get. Throws HYPR_UNSUPPORTED for what cannot be had, with the commands that change it.
 */
export const chooseCards = (
  name: string,
  wishes: readonly CardWish[],
  host: CardHost,
  reserved: ReadonlySet<string> = new Set(),
): Card[] => {
  const chosen = new Map<string, Card>();
  const take = (card: Card): void => {
    for (const each of groupOf(card, host.cards)) {
      chosen.set(each.address, each);
    }
  };
  for (const wish of wishes) {
    if ('address' in wish) {
      take(named(name, wish.address, host, reserved));
    } else if ('nth' in wish) {
      take(named(name, nthGpu(name, wish, host), host, reserved));
    }
  }
  for (const wish of wishes) {
    if ('gpus' in wish) {
      freeGpus(name, wish, host, (card) => chosen.has(card.address) || reserved.has(card.group ?? '')).forEach(take);
    }
  }
  return [...chosen.values()].sort((a, b) => (a.address < b.address ? -1 : 1));
};

const named = (name: string, address: string, host: CardHost, reserved: ReadonlySet<string>): Card => {
  const card = host.cards.find((each) => each.address === address);
  if (card === undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `${name} cannot have ${address}: this host has no such card`, { hint: LIST_ALL });
  }
  const verdict = judgeCard(card, host);
  if (verdict.use === 'no' || reserved.has(card.group ?? '')) {
    const { reason, fix } = verdict.use === 'no' ? verdict : { reason: 'a machine has it', fix: [] };
    throw new HyprError('HYPR_UNSUPPORTED', `${name} cannot have ${address}: ${reason}`, {
      hint: fix.length > 0 ? fix.join(' && ') : LIST_ALL,
    });
  }
  return card;
};

/** As `hypr gpu list` counts them, from 0. */
const nthGpu = (name: string, { nth, vendor }: Extract<CardWish, { nth: unknown }>, { cards }: CardHost): string => {
  const card = cards.filter((each) => isGpu(each) && (vendor === undefined || each.vendor === vendor))[nth];
  if (card === undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', `${name} wants GPU ${nth}, and this host has none of that number`, { hint: LIST_ALL });
  }
  return card.address;
};

type GpuWish = Extract<CardWish, { gpus: unknown }>;

const freeGpus = (name: string, { gpus, vendor }: GpuWish, host: CardHost, isTaken: (card: Card) => boolean): Card[] => {
  const found: Card[] = [];
  const groups = new Set<string | undefined>();
  for (const card of host.cards) {
    if (
      isGpu(card) &&
      (vendor === undefined || card.vendor === vendor) &&
      !isTaken(card) &&
      !groups.has(card.group) &&
      judgeCard(card, host).use !== 'no'
    ) {
      groups.add(card.group);
      found.push(card);
    }
  }
  const wanted = gpus === 'all' ? Math.max(1, found.length) : gpus;
  if (found.length < wanted) {
    const what = wanted === 1 ? 'a GPU' : `${wanted} GPUs`;
    throw new HyprError(
      'HYPR_UNSUPPORTED',
      `${name} wants ${what}, and ${found.length === 0 ? 'none' : `only ${found.length}`} of this host can be had`,
      {
        hint: 'hypr gpu list says which there are, and why not',
      },
    );
  }
  return found.slice(0, wanted);
};

const LIST_ALL = 'hypr gpu list --all says which cards there are, and who can use them';
