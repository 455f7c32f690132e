/**
 * The HTTP client, to be imported when the first request is made: loading it takes as long as a cached step of a build,
 * and most builds ask no registry. In a module of its own because a bundle gives names only to modules that export them.
 */
export { Agent, EnvHttpProxyAgent, request } from 'undici';
