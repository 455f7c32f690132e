import { isIP } from 'node:net';

/** Node's own pattern. Copied because node:net takes 3 ms to load, and Compose files rarely contain IPv6 addresses. */
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Whether `text` is an IPv4 or IPv6 address, as `isIP` of node:net says. */
export const isIpAddress = (text: string): boolean => IPV4.test(text) || isIP(text) !== 0;
