import type { Attack } from './attacks.d.mts';
export function formatPage(attacks: readonly Attack[]): string;
