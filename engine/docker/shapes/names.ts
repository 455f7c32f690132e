import { sanitiseName } from '../../../base/sanitise.ts';

/** A name without a tag and without a digest is that of `latest`, as docker shows it. */
export const imageRepository = (reference: string): { repository: string; tag: string } => {
  const name = familiarName(reference);
  const [plain = name] = name.split('@');
  const colon = plain.lastIndexOf(':');
  return colon > plain.lastIndexOf('/')
    ? { repository: plain.slice(0, colon), tag: plain.slice(colon + 1) }
    : { repository: plain, tag: name.includes('@') ? '<none>' : 'latest' };
};

/** `docker.io/library/nginx:1` → `nginx:1`. */
export const familiarName = (reference: string): string => sanitiseName(reference).replace(/^docker\.io\/(library\/)?/, '');

/** `sha256:<64>` or `<64>` → its first 12 digits. */
export const shortId = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12);
