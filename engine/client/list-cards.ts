import { isGpu, kindOf } from '../../vmm/vfio/card.ts';
import { judgeCard } from '../../vmm/vfio/judge.ts';
import { REAL_ROOTS, readCards } from '../../vmm/vfio/read-cards.ts';
import type { CardSummary } from '../model/types.ts';

/** The PCI cards of this host, and whether a machine of this user can have them. */
export const listCards = async (roots = REAL_ROOTS): Promise<CardSummary[]> => {
  const host = await readCards(roots);
  return host.cards.map((card) => {
    const verdict = judgeCard(card, host);
    return {
      address: card.address,
      group: card.group,
      kind: kindOf(card),
      id: `${hex(card.vendor)}:${hex(card.device)}`,
      driver: card.driver,
      gpu: isGpu(card),
      use: verdict.use,
      reason: verdict.use === 'no' ? verdict.reason : '',
      fix: verdict.use === 'no' ? verdict.fix : [],
    };
  });
};

const hex = (number: number): string => number.toString(16).padStart(4, '0');
