/** Whether machines of some services may connect to those of others. The first policy that matches decides; without one they may. */
export interface ServicePolicy {
  readonly name?: string;
  /** Globs of services: `*` stands for any characters, `?` for one. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly protocol?: 'tcp' | 'udp' | 'icmp';
  /** `443`, `8000-8010`; absent: all. */
  readonly ports?: readonly string[];
  readonly action: 'allow' | 'deny';
}

/** What is wrong with one of the policies, and below which of its keys. */
export interface PolicyFault {
  readonly fault: string;
  readonly index?: number;
  readonly key?: string;
}

const MOST = 256;
const KEYS = ['name', 'from', 'to', 'protocol', 'ports', 'action'];

/** Reads `policies` of `x-hypr` at the top of a file. `value` is plain data; `services` are the names that globs are about. Pure. */
export const readPolicies = (value: unknown, services: readonly string[]): readonly ServicePolicy[] | PolicyFault => {
  if (value === undefined) {
    return [];
  }
  if (!Array.isArray(value) || value.length > MOST) {
    return { fault: `must be a list of at most ${MOST} policies` };
  }
  const policies: ServicePolicy[] = [];
  for (const [index, item] of value.entries()) {
    const policy = readOne(item, services);
    if ('fault' in policy) {
      return { ...policy, index };
    }
    policies.push(policy);
  }
  return policies;
};

/** Whether a service is among those that globs name. Pure. */
export const matchesService = (globs: readonly string[], service: string): boolean =>
  globs.some((glob) => new RegExp(`^${glob.replace(/[.*+?^${}()|[\]\\]/g, (char) => WILD[char] ?? `\\${char}`)}$`, 's').test(service));

const WILD: Readonly<Record<string, string>> = { '*': '.*', '?': '.' };

const readOne = (item: unknown, services: readonly string[]): ServicePolicy | PolicyFault => {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) {
    return { fault: 'must be a mapping with from, to and action' };
  }
  const { name, from, to, protocol, ports, action } = item as Readonly<Record<string, unknown>>;
  const extra = Object.keys(item).find((key) => !KEYS.includes(key));
  if (extra !== undefined) {
    return { key: extra, fault: `is not known; a policy has ${KEYS.join(', ')}` };
  }
  if (name !== undefined && (typeof name !== 'string' || name.length > 100)) {
    return { key: 'name', fault: 'must be a text' };
  }
  if (action !== 'allow' && action !== 'deny') {
    return { key: 'action', fault: 'must be allow or deny' };
  }
  if (protocol !== undefined && protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'icmp') {
    return { key: 'protocol', fault: 'must be tcp, udp or icmp' };
  }
  const globs = { from: readGlobs(from, services), to: readGlobs(to, services) };
  const wrong = (['from', 'to'] as const).find((key) => !Array.isArray(globs[key]));
  if (wrong !== undefined) {
    return { key: wrong, fault: globs[wrong] as string };
  }
  const ranges = ports === undefined ? undefined : (Array.isArray(ports) ? ports : [ports]).map(String);
  if (ranges !== undefined && (ranges.length === 0 || !ranges.every(isRange) || protocol === 'icmp')) {
    return { key: 'ports', fault: protocol === 'icmp' ? 'cannot be given with icmp' : 'must be ports like 443 or 8000-8010' };
  }
  return {
    from: globs.from as string[],
    to: globs.to as string[],
    action,
    ...(name === undefined ? {} : { name }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(ranges === undefined ? {} : { ports: ranges }),
  };
};

/** The globs, or what is wrong with them. One that matches nothing is a fence that is missing because of a typo. */
const readGlobs = (value: unknown, services: readonly string[]): string[] | string => {
  const globs = typeof value === 'string' ? [value] : value;
  if (
    !Array.isArray(globs) ||
    globs.length === 0 ||
    globs.length > MOST ||
    !globs.every((glob) => typeof glob === 'string' && glob.length <= 255)
  ) {
    return 'must be a service, a glob like "web-*", or a list of them';
  }
  const idle = (globs as string[]).find((glob) => !services.some((service) => matchesService([glob], service)));
  return idle === undefined ? (globs as string[]) : `names no service by "${idle}"`;
};

const isRange = (text: string): boolean => {
  const [, first = '', last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  return Number(first) >= 1 && Number(last) <= 65_535 && Number(first) <= Number(last);
};
