import { type Answer, type DecodedPacket, decode, encode, type OptAnswer, type Packet, RECURSION_DESIRED } from 'dns-packet';
import { INDEX_NAME, type NameDirectory, type NamedService, nameDomain } from '../names/directory.ts';

/** Seconds that an address may be kept: a name is to be gone soon after its service. What is not there may not be kept at all. */
const ANSWER_TTL = 1;
const NEGATIVE_TTL = 0;
/** No question about our names is longer; RFC 1035 allows 255 bytes for the name. */
export const MAX_QUERY = 4096;
/** The largest datagram that we accept and send (RFC 9715 recommends at most 1,400 bytes; our answers are shorter than 700). */
const UDP_SIZE = 1232;
const HEADER = 12;
/** By this name it can be tried whether the system's resolver asks here. */
const PROBE = 'probe';
const EDGE_ADDRESS = '127.0.0.1';

/** Names that lead somewhere, or will in a moment. */
const LIVE = new Set(['starting', 'running', 'paused', 'restarting']);

const RCODE = { noError: 0, formErr: 1, nxDomain: 3, notImp: 4, refused: 5 } as const;
const OPCODE_MASK = 0x7800;
const RCODE_MASK = 0x0f;
const QR = 0x8000;
const AUTHORITATIVE = 1 << 10;

interface Verdict {
  readonly rcode: number;
  /** The address for a question of type A. Absent: there is a name, but nothing of that type. */
  readonly address?: string;
}

/**
 * The answer to one DNS message (RFC 1035); undefined for what must not be answered: less than a header, and answers
 * (two servers would answer each other for ever).
 */
export const answerQuery = (query: Uint8Array, directory: NameDirectory, domain = nameDomain()): Uint8Array | undefined => {
  const bytes = Buffer.from(query.buffer, query.byteOffset, query.byteLength);
  if (bytes.length < HEADER || (bytes.readUInt16BE(2) & QR) !== 0) {
    return undefined;
  }
  const asked = bytes.length > MAX_QUERY ? undefined : read(bytes);
  const [question, ...more] = asked?.questions ?? [];
  if (asked === undefined || question === undefined || more.length > 0) {
    return failure(bytes, RCODE.formErr);
  }
  if ((bytes.readUInt16BE(2) & OPCODE_MASK) !== 0) {
    return failure(bytes, RCODE.notImp);
  }
  const verdict = question.class !== 'IN' && question.class !== 'ANY' ? { rcode: RCODE.refused } : judge(question.name, directory, domain);
  const wantsAddress = question.type === 'A' || (question.type as string) === 'ANY';
  const answers: Answer[] =
    verdict.address !== undefined && wantsAddress
      ? [{ type: 'A', name: question.name, ttl: ANSWER_TTL, class: 'IN', data: verdict.address }]
      : [];
  const isEmpty = answers.length === 0 && verdict.rcode !== RCODE.refused;
  return write(bytes, asked, {
    questions: [question],
    answers,
    authorities: isEmpty ? [startOfAuthority(domain)] : [],
    rcode: verdict.rcode,
  });
};

/**
 * Which answer a name gets. Only names below the domain are ours. Others are refused even where a stack asked for them with
 * `hypr.domains`: a resolver that asks all its servers would otherwise believe a stranger's Compose file about a bank.
 */
const judge = (asked: string, directory: NameDirectory, domain: string): Verdict => {
  const name = asked.toLowerCase().replace(/\.$/, '');
  if (name === domain) {
    return { rcode: RCODE.noError, address: EDGE_ADDRESS };
  }
  if (!name.endsWith(`.${domain}`)) {
    return { rcode: RCODE.refused };
  }
  const host = name.slice(0, -domain.length - 1);
  if (host === PROBE) {
    return { rcode: RCODE.noError, address: EDGE_ADDRESS };
  }
  const found = directory.find(host);
  if (found !== undefined) {
    return { rcode: RCODE.noError, ...(LIVE.has(found.state) ? { address: addressOf(found) } : {}) };
  }
  if (host === INDEX_NAME) {
    return { rcode: RCODE.noError, address: EDGE_ADDRESS };
  }
  // A name with names below it exists, though it has no address (RFC 8020).
  const hasNamesBelow = directory.list().some((entry) => entry.host.endsWith(`.${host}`));
  return { rcode: hasNamesBelow ? RCODE.noError : RCODE.nxDomain };
};

/** Its own address if its ports are open there, else where the edge is. */
const addressOf = (service: NamedService): string => (service.isBound ? service.address : EDGE_ADDRESS);

/** Says for how long a negative answer may be kept (RFC 2308). */
const startOfAuthority = (domain: string): Answer => ({
  type: 'SOA',
  name: domain,
  ttl: NEGATIVE_TTL,
  class: 'IN',
  data: { mname: domain, rname: `nobody.${domain}`, serial: 1, refresh: 60, retry: 60, expire: 60, minimum: NEGATIVE_TTL },
});

/** More than this is no length of a label: a pointer, which the first name of a message has nowhere to point with. */
const MAX_LABEL = 63;

/**
 * Whether the first name of a message is the same once it has been text. A label may hold any byte (RFC 2181, 11): a dot in it cannot be told
 * from the end of a label then, and what is not ASCII gets another length.
 */
const isPlainName = (bytes: Buffer): boolean => {
  for (let at = HEADER; at < bytes.length; ) {
    const length = bytes[at] ?? 0;
    const label = bytes.subarray(at + 1, at + 1 + length);
    if (length > MAX_LABEL || label.some((byte) => byte <= 0x20 || byte >= 0x7f || byte === DOT)) {
      return false;
    }
    if (length === 0) {
      return true;
    }
    at += length + 1;
  }
  // Without a question, or cut: whoever decodes it says so.
  return true;
};

const DOT = 0x2e;

const read = (bytes: Buffer): DecodedPacket | undefined => {
  try {
    return isPlainName(bytes) ? decode(bytes) : undefined;
  } catch {
    return undefined;
  }
};

const write = (query: Buffer, asked: DecodedPacket, answer: Packet & { rcode: number }): Uint8Array => {
  const { rcode, ...sections } = answer;
  const edns: OptAnswer[] = (asked.additionals ?? []).some((record) => record.type === 'OPT') ? [OPT] : [];
  try {
    return encode({
      ...sections,
      type: 'response',
      id: query.readUInt16BE(0),
      flags: AUTHORITATIVE | (query.readUInt16BE(2) & RECURSION_DESIRED) | rcode,
      additionals: edns,
    });
  } catch {
    // A name that can be decoded but not encoded.
    return failure(query, RCODE.formErr);
  }
};

const OPT: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: UDP_SIZE,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
} as never;

/** Only a header, because the question cannot be repeated. */
const failure = (query: Buffer, rcode: number): Uint8Array => {
  const header = Buffer.alloc(HEADER);
  query.copy(header, 0, 0, 4);
  const flags = query.readUInt16BE(2);
  header.writeUInt16BE(QR | (flags & (OPCODE_MASK | RECURSION_DESIRED)) | (rcode & RCODE_MASK), 2);
  return header;
};
