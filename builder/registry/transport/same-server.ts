/** Credentials follow a redirect on the same server, or from http to https of the same name; nowhere else. Pure. */
export const isSameServer = (first: URL, target: URL): boolean =>
  target.origin === first.origin ||
  (target.hostname === first.hostname &&
    first.protocol === 'http:' &&
    target.protocol === 'https:' &&
    first.port === '' &&
    target.port === '');
