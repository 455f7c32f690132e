import { createPublicKey, generateKeyPair, type webcrypto } from 'node:crypto';
import { promisify } from 'node:util';
import { HyprError } from '../../base/errors.ts';
import { isHostName } from '../names/dns-label.ts';
import type { Authority } from './authority.ts';
import { ALGORITHM, DAY, importPair, makeSerial } from './make-root.ts';

/** Browsers accept no certificate that is valid for more than 398 days. */
const LONGEST = 397 * DAY;
const MAX_NAMES = 100;

/**
 * A server's certificate for these names, signed by the authority, followed by the authority's, and its key; all PEM. `*.shop.hypr` is a name, too; browsers take no
 * `*.hypr`. Throws NET_CERTIFICATE for names that the authority may not vouch for (those of `hypr.domains` outside the domain).
 */
export const issueLeaf = async (authority: Authority, names: readonly string[]): Promise<{ cert: string; key: string }> => {
  const wanted = checkNames(authority, names);
  const x509 = await import('./x509.ts');
  const pair = await makePair('ec', { namedCurve: 'P-256' });
  const keys = await importPair(
    pair.privateKey.export({ format: 'der', type: 'pkcs8' }),
    pair.publicKey.export({ format: 'der', type: 'spki' }),
  );
  const root = new x509.X509Certificate(authority.cert);
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: makeSerial(),
    subject: [{ O: ['hypr'] }, { CN: [(wanted[0] ?? '').slice(0, MAX_COMMON_NAME)] }],
    issuer: root.subjectName,
    notBefore: new Date(now - DAY),
    notAfter: new Date(Math.min(now - DAY + LONGEST, authority.notAfter.getTime())),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: (await importAuthority(authority)).privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(wanted.map((value) => ({ type: 'dns', value }))),
      await x509.AuthorityKeyIdentifierExtension.create(root.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  // With the authority: a browser that goes by the digest of its key (`hypr open`) has to see it in what the server shows.
  return {
    cert: `${certificate.toString('pem')}\n${authority.cert}`,
    key: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
  };
};

const makePair = promisify(generateKeyPair);
/** RFC 5280, ub-common-name. */
const MAX_COMMON_NAME = 64;

/** Whether the authority can vouch for a name (any case; no trailing dot). */
export const mayIssue = (authority: Pick<Authority, 'domain'>, name: string): boolean => {
  const lower = name.toLowerCase();
  const isBelow = [authority.domain, 'localhost'].some((domain) => lower === domain || lower.endsWith(`.${domain}`));
  return isBelow && isHostName(lower.replace(/^\*\./, ''));
};

const checkNames = (authority: Authority, names: readonly string[]): string[] => {
  const foreign = names.find((name) => !mayIssue(authority, name));
  if (foreign !== undefined || names.length === 0 || names.length > MAX_NAMES) {
    const which = foreign === undefined ? `${names.length} names` : JSON.stringify(foreign.slice(0, 253));
    throw new HyprError('NET_CERTIFICATE', `hypr's certificate authority cannot vouch for ${which}`, {
      hint: `it may sign names of ${authority.domain} and localhost only; other names are served without https`,
    });
  }
  return [...new Set(names.map((name) => name.toLowerCase()))];
};

const importAuthority = ({ key }: Authority): Promise<webcrypto.CryptoKeyPair> =>
  importPair(key.export({ format: 'der', type: 'pkcs8' }), createPublicKey(key).export({ format: 'der', type: 'spki' }));
