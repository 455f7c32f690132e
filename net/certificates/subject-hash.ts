import { createHash, type X509Certificate } from 'node:crypto';

/** Types of attributes that `makeRoot` writes: the last byte of 2.5.4.x (RFC 5280, appendix A.1). */
const TYPES: Readonly<Record<string, number>> = { CN: 3, O: 10 };

/**
 * The 8 hex digits by which OpenSSL finds a certificate in a folder (`HASH.0`): SHA-1 of the canonical form of its subject, the first four
 * bytes with the last one first. In that form each text is UTF-8, in small letters, with single blanks, and there is no outer
 * sequence (X509_NAME_hash(3)). Undefined for a subject with other attributes than those of this user's authorities.
 */
export const subjectHash = (certificate: X509Certificate): string | undefined => {
  const parts = certificate.subject.split('\n').map((line) => /^([A-Z]+)=(.*)$/.exec(line));
  const sets = parts.map((part) => {
    const type = TYPES[part?.[1] ?? ''];
    const text = (part?.[2] ?? '').trim().replace(/\s+/g, ' ').toLowerCase();
    return type === undefined
      ? undefined
      : der(0x31, der(0x30, Buffer.concat([Buffer.from([6, 3, 0x55, 4, type]), der(12, Buffer.from(text))])));
  });
  const known = sets.filter((set) => set !== undefined);
  return known.length !== sets.length
    ? undefined
    : createHash('sha1').update(Buffer.concat(known)).digest().subarray(0, 4).reverse().toString('hex');
};

/** All are shorter than 128 bytes or, with a long name, than 256. */
const der = (tag: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from(content.length < 128 ? [tag, content.length] : [tag, 0x81, content.length]), content]);
