/** Imported only for the first request. A module of its own, because a bundle gives names only to modules that export them. */
export { EnvHttpProxyAgent, fetch } from 'undici';
