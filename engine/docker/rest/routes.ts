import type { SettingsApi } from '../../model/command-options.ts';
import { ApiError, notHere } from '../http/errors.ts';
import type { Handler, Routes } from '../http/router.ts';
import type { Host } from '../machines/host.ts';
import { dockerRoutes } from '../routes/index.ts';
import { machineRoutes } from './machines.ts';
import { describeApi, OPERATIONS, writePage } from './openapi.ts';
import { stackRoutes } from './stacks.ts';

/** The JSON API, below `/api/v1` and without it. What is docker's to answer is answered as in its Engine API. */
export const restRoutes = (host: Host, settings?: SettingsApi): Routes => {
  const docker = dockerRoutes(host);
  const lent = Object.fromEntries(OPERATIONS.flatMap(({ route, as }) => (as === undefined ? [] : [[route, docker[as] ?? missing(as)]])));
  return {
    ...lent,
    ...machineRoutes(host),
    ...stackRoutes(host),
    ...settingsRoutes(settings),
    'GET /openapi.json': ({ reply }) => reply.json(describeApi()),
    'GET /docs': ({ reply }) => {
      const sink = reply.stream('text/html; charset=utf-8', { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" });
      void sink.write(writePage());
      sink.end();
    },
  };
};

const settingsRoutes = (settings: SettingsApi | undefined): Routes => {
  const own = (): SettingsApi => {
    if (settings === undefined) {
      throw notHere('settings', 'this server was started without them');
    }
    return settings;
  };
  return {
    'GET /settings': ({ reply }) => reply.json(own().list()),
    'PATCH /settings': async ({ body, reply }) => {
      const wanted = Object.entries(await body.json());
      const wrong = wanted.find(([, value]) => typeof value !== 'string' && value !== null);
      if (wrong !== undefined) {
        throw new ApiError(400, `${wrong[0]} is a text, or null for the standard value`);
      }
      await own().change(Object.fromEntries(wanted) as Record<string, string | null>);
      reply.json(own().list());
    },
  };
};

const missing = (route: string): Handler => {
  throw new RangeError(`there is no ${route}`);
};
