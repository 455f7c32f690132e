/** In a module of its own, so that undici is loaded with the first request, and by nobody who serves none. By name, as bundles need it. */
export { Pool } from 'undici';
