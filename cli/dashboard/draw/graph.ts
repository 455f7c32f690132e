import type { PlannedService } from '../state/plan.ts';

export interface GraphLook {
  /** The sign of a service and its name. */
  readonly label: (service: string) => string;
  /** Milliseconds from the beginning of its start until it was ready; undefined while it is not. */
  readonly startMs: (service: string) => number | undefined;
  readonly unicode: boolean;
}

const WORDS = { service_started: 'started', service_healthy: 'healthy', service_completed_successfully: 'completed' } as const;

const UNICODE = { last: '└─ ', other: '├─ ', bar: '│  ', arrow: ' → ' };
const ASCII = { last: '`- ', other: '|- ', bar: '|  ', arrow: ' -> ' };

/**
 * What waits for what, as a tree: each service below those that need it, with the condition and the time that its start took. Ends with the
 * critical path: the chain of starts that took longest.
 */
export const drawGraph = (plan: readonly PlannedService[], look: GraphLook): string[] => {
  const byName = new Map(plan.map((planned) => [planned.service, planned]));
  const needed = new Set(plan.flatMap(({ needs }) => needs.map(({ service }) => service)));
  const lines = new Tree(byName, look).draw(plan.map(({ service }) => service).filter((service) => !needed.has(service)));
  const path = criticalPath(plan, look.startMs);
  if (path.length === 0) {
    return lines;
  }
  const total = path.reduce((sum, service) => sum + (look.startMs(service) ?? 0), 0);
  const chain = path.map((service) => service + timeText(look.startMs(service))).join(look.unicode ? UNICODE.arrow : ASCII.arrow);
  return [...lines, '', ` critical path: ${chain}  =${timeText(total)}`];
};

class Tree {
  readonly #byName: ReadonlyMap<string, PlannedService>;
  readonly #look: GraphLook;
  readonly #lines: string[] = [];
  readonly #seen = new Set<string>();

  constructor(byName: ReadonlyMap<string, PlannedService>, look: GraphLook) {
    this.#byName = byName;
    this.#look = look;
  }

  draw(roots: readonly string[]): string[] {
    for (const service of roots) {
      this.#add(service, { own: '', below: '' }, '');
    }
    return this.#lines;
  }

  /** `own`: what stands before the service; `below`: before what it needs. A service that was drawn with its needs is not drawn so again. */
  #add(service: string, before: { readonly own: string; readonly below: string }, condition: string): void {
    const { needs = [] } = this.#byName.get(service) ?? {};
    const isRepeated = this.#seen.has(service) && needs.length > 0;
    const { label, startMs } = this.#look;
    this.#lines.push(` ${before.own}${label(service)}${timeText(startMs(service))}${condition}${isRepeated ? ' (see above)' : ''}`);
    if (isRepeated) {
      return;
    }
    this.#seen.add(service);
    const signs = this.#look.unicode ? UNICODE : ASCII;
    for (const [index, need] of needs.entries()) {
      const isLast = index === needs.length - 1;
      const own = before.below + (isLast ? signs.last : signs.other);
      this.#add(need.service, { own, below: before.below + (isLast ? '   ' : signs.bar) }, `  ${WORDS[need.condition]}`);
    }
  }
}

const timeText = (ms: number | undefined): string => (ms === undefined ? '' : ` ${(ms / 1000).toFixed(1)}s`);

/** The chain of services, first one first, whose starts add up to most; empty while none is known. */
export const criticalPath = (plan: readonly PlannedService[], startMs: (service: string) => number | undefined): string[] => {
  const byName = new Map(plan.map((planned) => [planned.service, planned]));
  const best = new Map<string, { readonly ms: number; readonly path: readonly string[] }>();
  const longest = (service: string): { readonly ms: number; readonly path: readonly string[] } => {
    const known = best.get(service);
    if (known !== undefined) {
      return known;
    }
    const before = (byName.get(service)?.needs ?? [])
      .map((need) => longest(need.service))
      .reduce((a, b) => (b.ms > a.ms ? b : a), { ms: 0, path: [] as readonly string[] });
    const own = startMs(service);
    const result = { ms: before.ms + (own ?? 0), path: own === undefined ? before.path : [...before.path, service] };
    best.set(service, result);
    return result;
  };
  return [
    ...plan.map(({ service }) => longest(service)).reduce((a, b) => (b.ms > a.ms ? b : a), { ms: 0, path: [] as readonly string[] }).path,
  ];
};
