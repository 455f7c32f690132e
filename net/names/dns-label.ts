/** A label of DNS in lower case; names of services may have underscores, anywhere. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** Whether every label of a name is one (RFC 1035, section 2.3.4, and underscores). Names are in lower case, without a final dot. Pure. */
export const isHostName = (name: string): boolean => name.length <= 253 && name.split('.').every((label) => LABEL.test(label));
