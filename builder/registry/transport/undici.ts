/**
 * The HTTP client, imported only for the first request: loading it takes as long as a cached build step, and most builds
 * contact no registry. A module of its own, because a bundle gives names only to modules that export them.
 */
export { Agent, EnvHttpProxyAgent, request } from 'undici';
