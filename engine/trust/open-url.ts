import { readAuthority } from '../../net/certificates/authority.ts';
import { nameDomain } from '../../net/names/directory.ts';
import { askEdge } from '../edge/info.ts';
import type { OpenedUrl, OpenRequest } from '../model/trust.ts';
import type { TrustHost } from './browser-setup.ts';
import { readDesktopProxy } from './desktop-proxy.ts';
import { findBrowsers, openInProfile, openOnDesktop, whyNoWindow } from './open-browser.ts';

/**
 * Opens a service's page in the best way available: the desktop's own browser where it finds the https name, else a browser with
 * a profile that knows names and authority, else the desktop's browser with the name below localhost. Where no window can be opened
 * it only tells the URL and the reason. Without an edge of this user's nothing is sent to one, and without an authority, which is not made
 * here, there is no https name: the URL is opened as it is. Throws SETUP_REFUSED when the browser that was asked for is not installed.
 */
export const openUrl = async ({ url, reach, browser }: OpenRequest, host: TrustHost): Promise<OpenedUrl> => {
  const wanted = browser === undefined ? undefined : (await findBrowsers(browser))[0];
  const noWindow = whyNoWindow(host.env);
  if (noWindow !== undefined) {
    return { url, why: noWindow };
  }
  const domain = nameDomain(host.env);
  const edge = (await askEdge(host.signal))?.port;
  const isSetUp = edge !== undefined && (await readAuthority(host.paths.authority, domain)) !== undefined;
  const named = reach === 'system' || !isSetUp ? url : namedUrl(url, domain);
  if (wanted !== undefined) {
    await openInProfile(wanted, named, host, edge);
    return { url: named, where: `${wanted.name}, in a profile of hypr's` };
  }
  const follows = isSetUp && (await readDesktopProxy(host.env, host.signal, edge)).state === 'ours';
  if (reach === 'system' || follows) {
    return await onDesktop(named, host, edge);
  }
  const [first] = isSetUp ? await findBrowsers() : [];
  if (first !== undefined) {
    await openInProfile(first, named, host, edge);
    return { url: named, where: `${first.name}, in a profile of hypr's` };
  }
  return await onDesktop(url, host, edge);
};

/** `http://web.shop.localhost:7080/` → `https://web.shop.hypr/`. */
export const namedUrl = (url: string, domain: string): string => {
  const { hostname, pathname, search } = new URL(url);
  return `https://${hostname === 'localhost' ? domain : hostname.replace(/\.localhost$/, `.${domain}`)}${pathname}${search}`;
};

const onDesktop = async (url: string, host: TrustHost, edge: number | undefined): Promise<OpenedUrl> => {
  if (await openOnDesktop(url, host.env)) {
    return { url, where: "the desktop's browser" };
  }
  const [first] = await findBrowsers();
  if (first === undefined) {
    return { url, why: 'there is no xdg-open and no browser in PATH' };
  }
  await openInProfile(first, url, host, edge);
  return { url, where: `${first.name}, in a profile of hypr's` };
};
