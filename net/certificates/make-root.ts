import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import { hostname } from 'node:os';
import { userName } from '../../base/host/user-name.ts';

/** Shared by roots and leafs. */
export const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
export const DAY = 24 * 3600 * 1000;
const YEARS = 10 * 365 * DAY;

/**
 * A root certificate and its key (PEM). Whoever steals the key can sign names of `domain` and `localhost` for servers, and nothing else:
 * RFC 5280, 4.2.1.10 (name constraints; a kind of name that is not mentioned would be free, so all addresses are excluded) and
 * 4.2.1.12 (extended key usage, which browsers check for the whole chain).
 */
export const makeRoot = async (domain: string): Promise<{ cert: string; key: string }> => {
  const x509 = await import('./x509.ts');
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keys = await importPair(
    pair.privateKey.export({ format: 'der', type: 'pkcs8' }),
    pair.publicKey.export({ format: 'der', type: 'spki' }),
  );
  const now = Date.now();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: makeSerial(),
    name: [{ CN: [rootName()] }, { O: ['hypr'] }],
    // A guest's clock, or another one, may be behind.
    notBefore: new Date(now - DAY),
    notAfter: new Date(now + YEARS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.Extension(x509NameConstraints, true, encodeConstraints(x509, domain)),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: `${certificate.toString('pem')}\n`, key: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string };
};

const x509NameConstraints = '2.5.29.30';

const encodeConstraints = (x509: typeof import('./x509.ts'), domain: string): ArrayBuffer => {
  const { AsnConvert, GeneralName, GeneralSubtree, GeneralSubtrees, NameConstraints } = x509;
  const tree = (base: ConstructorParameters<typeof GeneralName>[0]) => new GeneralSubtree({ base: new GeneralName(base) });
  return AsnConvert.serialize(
    new NameConstraints({
      permittedSubtrees: new GeneralSubtrees([domain, 'localhost'].map((dNSName) => tree({ dNSName }))),
      excludedSubtrees: new GeneralSubtrees(['0.0.0.0/0.0.0.0', '::/0'].map((iPAddress) => tree({ iPAddress }))),
    }),
  );
};

/** Trust stores tell authorities apart by this name; people, by its user and host. */
const rootName = (): string => {
  const printable = (text: string) => text.replace(/[^\w.-]/g, '').slice(0, 20);
  return `hypr development CA ${randomBytes(3).toString('hex')} (${printable(userName() ?? String(process.getuid?.() ?? 'user'))}@${printable(hostname())})`;
};

/** 128 bits, positive and without a leading zero byte (RFC 5280, 4.1.2.2). */
export const makeSerial = (): string => {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
};

/** In the form of WebCrypto, with which the library signs. */
export const importPair = async (pkcs8: Buffer, spki: Buffer): Promise<webcrypto.CryptoKeyPair> => ({
  privateKey: await webcrypto.subtle.importKey('pkcs8', new Uint8Array(pkcs8), ALGORITHM, true, ['sign']),
  publicKey: await webcrypto.subtle.importKey('spki', new Uint8Array(spki), ALGORITHM, true, ['verify']),
});
