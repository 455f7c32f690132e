import type { PortConfig } from '../../../compose/model/model.ts';
import type { Image } from '../../model/types.ts';
import { ApiError } from '../http/errors.ts';
import { asList, asRecord, asText } from '../http/values.ts';

type Keys = Readonly<Record<string, unknown>>;

/** Published ports: those of `PortBindings`, and with `PublishAllPorts` any free port for each that the image or the request exposes. */
export const portsOf = (config: Keys, host: Keys, image: Image): PortConfig[] => {
  const bindings = Object.entries(asRecord(host.PortBindings)).flatMap(([port, list]) => {
    const wanted = asList(list).map(asRecord);
    return (wanted.length === 0 ? [{}] : wanted).map((binding) => portOf(port, binding));
  });
  if (host.PublishAllPorts !== true) {
    return bindings;
  }
  const bound = new Set(bindings.map(({ target, protocol }) => `${target}/${protocol}`));
  const exposed = [...Object.keys(image.config.ExposedPorts), ...Object.keys(asRecord(config.ExposedPorts))].map((port) =>
    portOf(port, {}),
  );
  const all = new Map(exposed.map((port) => [`${port.target}/${port.protocol}`, port]));
  return [...bindings, ...[...all].flatMap(([key, port]) => (bound.has(key) ? [] : [port]))];
};

/** `80/tcp` with `{HostIp, HostPort}`; no address is this host's default one, and no port or 0 any free one. */
const portOf = (port: string, { HostIp, HostPort }: Keys): PortConfig => {
  const [, target, protocol = 'tcp'] = /^(\d+)(?:\/(tcp|udp))?$/.exec(port) ?? [];
  if (target === undefined) {
    throw new ApiError(400, `invalid port specification: "${port}"`);
  }
  const published = asText(HostPort);
  if (published !== undefined && !/^\d+(-\d+)?$/.test(published)) {
    throw new ApiError(400, `invalid port specification: "${published}"`);
  }
  const address = asText(HostIp);
  return {
    target: Number(target),
    protocol,
    ...(address === undefined ? {} : { host_ip: address }),
    ...(published === undefined || published === '0' ? {} : { published }),
  };
};
