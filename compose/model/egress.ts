/** One entry of an allow list: `*.example.com`, `example.com:443`, `10.0.0.0/8:5432-5440/tcp`, `[2001:db8::/32]:443`, `:443`, `53/udp`. */
export interface EgressEntry {
  /** A name, with `*.` for all below it, an address or a CIDR; absent: everywhere. */
  readonly to?: string;
  /** `443` or `8000-8010`; absent: all. */
  readonly ports?: string;
  readonly protocol?: 'tcp' | 'udp' | 'icmp';
}

/** Where a service may connect to outside its networks: nowhere but the entries. */
export interface Egress {
  readonly allow: readonly EgressEntry[];
}

/** What is wrong with a setting, and below which of its keys. */
export interface EgressFault {
  readonly fault: string;
  readonly key: string;
}

/**
 * Reads the settings of `x-hypr` in a service about what it may reach: `egress: deny`, `egress: {allow: [entry…]}`, and the seeds'
 * `allow_outbound: false` and `allowed_domains: [name…]`. Undefined: everything may be reached. `settings` is plain data.
 */
export const readEgress = (settings: unknown): Egress | EgressFault | undefined => {
  if (!isMap(settings)) {
    return undefined;
  }
  const { egress, allow_outbound: outbound, allowed_domains: domains } = settings;
  if (egress !== undefined && (outbound !== undefined || domains !== undefined)) {
    return { key: 'egress', fault: 'says the same as allow_outbound and allowed_domains; keep one of them' };
  }
  if (egress !== undefined) {
    return readOwn(egress);
  }
  if (outbound !== undefined && typeof outbound !== 'boolean') {
    return { key: 'allow_outbound', fault: 'must be true or false' };
  }
  if (domains !== undefined) {
    return readEntries(domains, 'allowed_domains');
  }
  return outbound === false ? { allow: [] } : undefined;
};

const readOwn = (egress: unknown): Egress | EgressFault | undefined => {
  if (egress === 'deny') {
    return { allow: [] };
  }
  if (egress === 'allow') {
    return undefined;
  }
  const extra = isMap(egress) ? Object.keys(egress).find((key) => key !== 'allow') : undefined;
  if (!isMap(egress) || extra !== undefined || egress.allow === undefined) {
    return { key: 'egress', fault: `must be deny, allow, or {allow: [...]}${extra === undefined ? '' : `; ${extra} is not known`}` };
  }
  return readEntries(egress.allow, 'egress');
};

const MOST_ENTRIES = 256;

const readEntries = (list: unknown, key: string): Egress | EgressFault => {
  if (!Array.isArray(list) || list.length > MOST_ENTRIES) {
    return { key, fault: `must be a list of at most ${MOST_ENTRIES} names, addresses, CIDRs and ports` };
  }
  const allow: EgressEntry[] = [];
  for (const item of list) {
    const entry = typeof item === 'string' || typeof item === 'number' ? readEntry(String(item)) : undefined;
    if (entry === undefined) {
      return {
        key,
        fault: `cannot have ${JSON.stringify(item)}: an entry is like *.example.com, example.com:443, 10.0.0.0/8 or :5432/tcp`,
      };
    }
    allow.push(entry);
  }
  return { allow };
};

const ENTRY =
  /^(?:\[(?<bracketed>[0-9a-fA-F:.]+(?:\/\d{1,3})?)\]|(?<host>[^\s:]*?))(?::(?<ports>\d{1,5}(?:-\d{1,5})?))?(?:\/(?<protocol>tcp|udp|icmp))?$/;
/** Its last label is never a number (RFC 3696, 2): `10.0.0` is neither a name nor an address. */
const NAME =
  /^(?:\*\.)?(?=.{1,253}$)(?!(?:.*\.)?\d+\.?$)[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?(?:\.[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*\.?$/;
const IPV4 = /^(?:\d{1,3}\.){3}\d{1,3}(?:\/\d{1,2})?$/;

const readEntry = (text: string): EgressEntry | undefined => {
  // An IPv6 address or CIDR alone has colons that begin no port.
  if (/^[0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:\/\d{1,3})?$/.test(text)) {
    return isIpv6(text) ? { to: text } : undefined;
  }
  const { bracketed, host = '', ports: written, protocol } = ENTRY.exec(text)?.groups ?? {};
  const isPort = written === undefined && /^\d{1,5}(?:-\d{1,5})?$/.test(host);
  const ports = isPort ? host : written;
  const to = bracketed ?? (isPort ? '' : host);
  if ((to === '' && ports === undefined) || !isPlace(to, bracketed !== undefined) || (ports !== undefined && !arePorts(ports))) {
    return undefined;
  }
  return {
    ...(to === '' ? {} : { to: to.replace(/\.$/, '').toLowerCase() }),
    ...(ports === undefined ? {} : { ports }),
    ...(protocol === undefined ? {} : { protocol: protocol as 'tcp' | 'udp' | 'icmp' }),
  };
};

const isPlace = (to: string, bracketed: boolean): boolean => {
  if (bracketed) {
    return isIpv6(to);
  }
  return to === '' || (IPV4.test(to) ? isIpv4(to) : NAME.test(to));
};

const isIpv4 = (text: string): boolean => {
  const [address = '', bits = '32'] = text.split('/');
  return Number(bits) <= 32 && address.split('.').every((part) => Number(part) <= 255);
};

const isIpv6 = (text: string): boolean => {
  const [address = '', bits = '128'] = text.split('/');
  return Number(bits) <= 128 && URL.canParse(`http://[${address}]/`);
};

const arePorts = (text: string): boolean => {
  const [first = 0, last = first] = text.split('-').map(Number);
  return first >= 1 && last >= first && last <= 65_535;
};

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
