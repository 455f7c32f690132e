/**
 * A proxy auto-configuration file: names of the domain go through this proxy, all others directly. `authority` is where it was asked
 * for, which is where the proxy is.
 */
export const pacFile = (authority: string, domain: string): string => {
  const port = /:(\d{1,5})$/.exec(authority)?.[1] ?? '80';
  return `function FindProxyForURL(url, host) {
  host = host.toLowerCase();
  return host === ${JSON.stringify(domain)} || dnsDomainIs(host, ${JSON.stringify(`.${domain}`)}) ? 'PROXY 127.0.0.1:${port}' : 'DIRECT';
}
`;
};
