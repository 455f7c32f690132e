import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { basename } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { isOwnDescriptor, readNamedFile } from '../../base/host/read-named.ts';
import { mpint, readString, string } from './wire.ts';

/** A private key, which stays on the host, with SSH's name of its type. */
export interface AgentKey {
  readonly key: KeyObject;
  readonly blob: Buffer;
  readonly comment: string;
}

const OPENSSH = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END OPENSSH PRIVATE KEY-----/;
const MAGIC = Buffer.from('openssh-key-v1\0');
const CURVES: Readonly<Record<string, { crv: string; hash: string; size: number }>> = {
  nistp256: { crv: 'P-256', hash: 'sha256', size: 32 },
  nistp384: { crv: 'P-384', hash: 'sha384', size: 48 },
  nistp521: { crv: 'P-521', hash: 'sha512', size: 66 },
};

/** Reads private keys without a passphrase: OpenSSH's own format or PEM; Ed25519, ECDSA, RSA. Throws HYPR_USAGE. */
export const readKeys = (files: readonly string[]): Promise<AgentKey[]> => Promise.all(files.map(readKey));

const MAX_KEY = 256 * 1024;

const readKey = async (file: string): Promise<AgentKey> => {
  const named = { what: 'key', maxBytes: MAX_KEY, pipes: isOwnDescriptor(file) };
  const text = await readNamedFile(file, named).then(String, (error: unknown) => {
    throw error instanceof HyprError ? error : new HyprError('HYPR_USAGE', `--ssh: the key ${file} cannot be read`);
  });
  const body = OPENSSH.exec(text)?.[1];
  try {
    const key = body === undefined ? createPrivateKey(text) : parseOpenSsh(Buffer.from(body, 'base64'));
    return { key, blob: publicBlob(key), comment: basename(file) };
  } catch (error) {
    const locked = error instanceof LockedKey || /ENCRYPTED/.test(text);
    const message = locked ? `the key ${file} has a passphrase` : `${file} is not a private key of a supported format`;
    throw new HyprError('HYPR_USAGE', `--ssh: ${message}`, { hint: 'add the key to an agent, and forward that: --ssh default' });
  }
};

class LockedKey extends Error {}

/** PROTOCOL.key of OpenSSH, one key without encryption. */
const parseOpenSsh = (bytes: Buffer): KeyObject => {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new RangeError('no OpenSSH key');
  }
  const cipher = readString(bytes, MAGIC.length);
  const kdf = readString(bytes, cipher.end);
  const kdfOptions = readString(bytes, kdf.end);
  if (cipher.value.toString() !== 'none') {
    throw new LockedKey();
  }
  const publicKey = readString(bytes, kdfOptions.end + 4);
  const secret = readString(bytes, publicKey.end).value;
  const fields: Buffer[] = [];
  for (let at = 8; at + 4 <= secret.length && fields.length < 8; ) {
    const length = secret.readUInt32BE(at);
    if (at + 4 + length > secret.length) {
      break;
    }
    fields.push(secret.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return createPrivateKey({ key: toJwk(fields), format: 'jwk' });
};

const toJwk = ([type, ...fields]: readonly Buffer[]): Record<string, string> => {
  const name = type?.toString() ?? '';
  const at = (index: number) => fields[index] ?? Buffer.alloc(0);
  if (name === 'ssh-ed25519') {
    return { kty: 'OKP', crv: 'Ed25519', x: base64(at(0)), d: base64(at(1).subarray(0, 32)) };
  }
  if (name === 'ssh-rsa') {
    return rsaJwk(fields);
  }
  const curve = CURVES[name.replace('ecdsa-sha2-', '')];
  if (curve === undefined) {
    throw new RangeError(`keys of the type ${name} are not supported`);
  }
  const { crv, size } = curve;
  const point = at(1).subarray(1);
  return { kty: 'EC', crv, x: base64(point.subarray(0, size)), y: base64(point.subarray(size)), d: base64(fitTo(at(2), size)) };
};

/** n, e, d, 1/q mod p, p, q; the exponents for p and q are computed. */
const rsaJwk = (fields: readonly Buffer[]): Record<string, string> => {
  const [n, e, d, qi, p, q] = fields.map((field) => BigInt(`0x${field.toString('hex') || '0'}`));
  if (n === undefined || e === undefined || d === undefined || qi === undefined || p === undefined || q === undefined) {
    throw new RangeError('an RSA key lacks a number');
  }
  const numbers = { n, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi };
  return { kty: 'RSA', ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, base64(toBytes(value))])) };
};

const toBytes = (value: bigint): Buffer => {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
};

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

const fitTo = (bytes: Buffer, size: number): Buffer =>
  Buffer.concat([Buffer.alloc(Math.max(0, size - bytes.length)), bytes.subarray(Math.max(0, bytes.length - size))]);

/** The public key as SSH names it (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4). */
const publicBlob = (key: KeyObject): Buffer => {
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  const part = (text: string | undefined) => Buffer.from(text ?? '', 'base64url');
  if (jwk.kty === 'OKP') {
    return Buffer.concat([string(Buffer.from('ssh-ed25519')), string(part(jwk.x))]);
  }
  if (jwk.kty === 'RSA') {
    return Buffer.concat([string(Buffer.from('ssh-rsa')), mpint(part(jwk.e)), mpint(part(jwk.n))]);
  }
  const curve = curveOf(key);
  const point = Buffer.concat([Buffer.from([4]), part(jwk.x), part(jwk.y)]);
  return Buffer.concat([string(Buffer.from(`ecdsa-sha2-${curve}`)), string(Buffer.from(curve)), string(point)]);
};

const curveOf = (key: KeyObject): string => {
  const { crv } = createPublicKey(key).export({ format: 'jwk' });
  const found = Object.entries(CURVES).find(([, curve]) => curve.crv === crv);
  if (found === undefined) {
    throw new RangeError('SSH has no such curve');
  }
  return found[0];
};

const SHA256_FLAG = 2;
const SHA512_FLAG = 4;

/** A signature in SSH's form; `flags` choose the hash of an RSA key (RFC 8332). */
export const signWith = ({ key }: AgentKey, data: Buffer, flags: number): Buffer => {
  if (key.asymmetricKeyType === 'ed25519') {
    return Buffer.concat([string(Buffer.from('ssh-ed25519')), string(sign(null, data, key))]);
  }
  if (key.asymmetricKeyType === 'rsa') {
    const [name, hash] =
      flags & SHA512_FLAG ? ['rsa-sha2-512', 'sha512'] : flags & SHA256_FLAG ? ['rsa-sha2-256', 'sha256'] : ['ssh-rsa', 'sha1'];
    return Buffer.concat([string(Buffer.from(name)), string(sign(hash, data, key))]);
  }
  const curve = curveOf(key);
  const { hash = 'sha256', size = 32 } = CURVES[curve] ?? {};
  const raw = sign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
  const pair = Buffer.concat([mpint(raw.subarray(0, size)), mpint(raw.subarray(size))]);
  return Buffer.concat([string(Buffer.from(`ecdsa-sha2-${curve}`)), string(pair)]);
};
