import { whenAborted } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { DEFAULT_DNS_PORT, dnsPort, serveDns } from '../../net/dns/serve.ts';
import { openNameDirectory } from './open-directory.ts';

/** Serves DNS alone until the signal aborts, whoever holds the edge. Throws NET_PORT_IN_USE when somebody serves it already. */
export const serveDnsAlone = async (onListening: (port: number) => void, signal: AbortSignal): Promise<void> => {
  const port = dnsPort();
  if (port === undefined) {
    throw new HyprError('HYPR_USAGE', 'HYPR_DNS_PORT is 0: no DNS server is wanted', { hint: `unset it for port ${DEFAULT_DNS_PORT}` });
  }
  const directory = openNameDirectory();
  try {
    const server = await serveDns(directory, { port, signal });
    onListening(server.port);
    await whenAborted(signal);
    await server.close();
  } catch (error) {
    if (error instanceof HyprError && error.code === 'NET_PORT_IN_USE') {
      throw new HyprError('NET_PORT_IN_USE', error.message, {
        hint: 'a supervisor that runs serves DNS already: see hypr dns status. Another port: HYPR_DNS_PORT=41053 hypr dns serve',
        cause: error,
      });
    }
    throw error;
  } finally {
    directory.close();
  }
};
