import type { HealthcheckConfig, Service } from '../../../compose/model/model.ts';
import { isKvm } from '../../../compose/model/nested.ts';
import { ASKED, AUTO_REMOVE, STDIN_ONCE, TERMINAL_SIZE } from '../../model/spec.ts';
import type { Image } from '../../model/types.ts';
import { ApiError, notHere } from '../http/errors.ts';
import { asList, asMap, asNumber, asRecord, asText, asTexts } from '../http/values.ts';
import { mountsOf } from './mounts-of.ts';
import { portsOf } from './ports-of.ts';

export type Keys = Readonly<Record<string, unknown>>;

/**
 * What `POST /containers/create` asks for as a service of a Compose file, without its networks. Throws 400 for what is malformed, 501 for
 * what a machine of its own cannot have.
 */
export const serviceOf = (config: Keys, image: Image): Service => {
  const host = asRecord(config.HostConfig);
  refuseForeign(host);
  const autoRemove = host.AutoRemove === true;
  const restart = restartOf(asRecord(host.RestartPolicy));
  if (autoRemove && restart !== 'no') {
    throw new ApiError(400, 'can\'t create "AutoRemove" container with restart policy');
  }
  return {
    image: asText(config.Image) ?? '',
    ...programOf(config, image),
    ...limitsOf(host),
    ...namesOf(config, host),
    ...securityOf(host),
    ports: portsOf(config, host, image),
    ...mountsOf(config, host),
    labels: asMap(config.Labels),
    // Of the request: what an image says of itself widens nothing.
    ...(asMap(config.Labels)['hypr.docker'] === 'full' ? { 'x-hypr': { docker: 'full' } } : {}),
    restart,
    ...healthOf(asRecord(config.Healthcheck)),
    ...(autoRemove ? { [AUTO_REMOVE]: true } : {}),
    ...askedFor(host),
    ...(config.StdinOnce === true ? { [STDIN_ONCE]: true } : {}),
    ...(config.Tty === true ? terminalOf(host) : {}),
  };
};

/** A client whose own terminal has no size writes zeros. */
const terminalOf = ({ ConsoleSize }: Keys): Service => {
  const [rows = 0, columns = 0] = asList(ConsoleSize).map((each) => asNumber(each) ?? 0);
  const isSize = [rows, columns].every((each) => Number.isInteger(each) && each > 0 && each <= 0xffff);
  return isSize ? { [TERMINAL_SIZE]: { columns, rows } } : {};
};

/** Leaves out what is undefined. */
const given = <T extends object>(members: T): T =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T;

const programOf = (config: Keys, image: Image): Service => {
  const entrypoint = config.Entrypoint === undefined || config.Entrypoint === null ? undefined : asTexts(config.Entrypoint);
  const command = asTexts(config.Cmd);
  // As docker: an entrypoint drops the image's command; `[""]` is none at all.
  const isReset = entrypoint !== undefined && (entrypoint.length === 0 || (entrypoint.length === 1 && entrypoint[0] === ''));
  const fallback = entrypoint?.length === 0 ? [...(image.config.Cmd ?? [])] : undefined;
  const timeout = asNumber(config.StopTimeout);
  return given({
    entrypoint: isReset ? [] : entrypoint === undefined ? undefined : [...entrypoint],
    command: command.length > 0 ? [...command] : fallback,
    environment: environmentOf(asTexts(config.Env)),
    working_dir: asText(config.WorkingDir),
    user: asText(config.User),
    tty: config.Tty === true,
    stdin_open: config.OpenStdin === true,
    stop_signal: asText(config.StopSignal),
    stop_grace_period: timeout === undefined || timeout < 0 ? undefined : `${timeout}s`,
  }) as Service;
};

/** A name without a value takes the image's away. */
const environmentOf = (entries: readonly string[]): Record<string, string | null> =>
  Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf('=');
      return at < 0 ? [entry, null] : [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );

const limitsOf = (host: Keys): Service => {
  const memory = asNumber(host.Memory);
  if (memory !== undefined && memory > 0 && memory < 6 * 2 ** 20) {
    throw new ApiError(400, 'Minimum memory limit allowed is 6MB');
  }
  const nano = asNumber(host.NanoCpus);
  const [quota, period = 100_000] = [asNumber(host.CpuQuota), asNumber(host.CpuPeriod)];
  const cpus = nano === undefined ? (quota === undefined || quota < 0 ? undefined : quota / period) : nano / 1e9;
  const shm = asNumber(host.ShmSize);
  const ulimits = asList(host.Ulimits).map(asRecord);
  const storage = asMap(host.StorageOpt);
  return given({
    mem_limit: memory === undefined ? undefined : String(memory),
    cpus,
    shm_size: shm === undefined ? undefined : String(shm),
    storage_opt: Object.keys(storage).length === 0 ? undefined : storage,
    ulimits: Object.fromEntries(
      ulimits.map(({ Name, Soft, Hard }) => [String(Name), { soft: Number(Soft ?? 0), hard: Number(Hard ?? 0) }]),
    ),
  }) as Service;
};

const namesOf = (config: Keys, host: Keys): Service =>
  given({
    hostname: asText(config.Hostname),
    domainname: asText(config.Domainname),
    mac_address: asText(config.MacAddress),
    expose: Object.keys(asRecord(config.ExposedPorts)),
    extra_hosts: [...asTexts(host.ExtraHosts)],
    dns: [...asTexts(host.Dns)],
    dns_search: [...asTexts(host.DnsSearch)],
    dns_opt: [...asTexts(host.DnsOptions)],
  }) as Service;

const devicesOf = (devices: unknown) =>
  asList(devices)
    .map(asRecord)
    .map(({ PathOnHost, PathInContainer }) => ({
      source: asText(PathOnHost) ?? '',
      target: asText(PathInContainer) ?? asText(PathOnHost) ?? '',
    }));

/** Capabilities are lists of which each would do; those of GPUs are all the same here. */
const gpuOf = ({ Driver, Count, DeviceIDs, Capabilities }: Keys) => {
  const ids = asTexts(DeviceIDs);
  return given({
    driver: asText(Driver),
    capabilities: [...new Set(asList(Capabilities).flatMap((each) => [...asTexts(each)]))],
    ...(ids.length > 0 ? { device_ids: [...ids] } : { count: asNumber(Count) ?? -1 }),
  });
};

const securityOf = (host: Keys): Service =>
  given({
    privileged: host.Privileged === true,
    read_only: host.ReadonlyRootfs === true,
    init: host.Init === true ? true : undefined,
    cap_add: [...asTexts(host.CapAdd)],
    cap_drop: [...asTexts(host.CapDrop)],
    group_add: [...asTexts(host.GroupAdd)],
    security_opt: [...asTexts(host.SecurityOpt)],
    devices: asList(host.Devices).length === 0 ? undefined : devicesOf(host.Devices),
    gpus: asList(host.DeviceRequests).length === 0 ? undefined : asList(host.DeviceRequests).map(asRecord).map(gpuOf),
    sysctls: asMap(host.Sysctls),
  }) as Service;

/** `no`, `on-failure:3`. Throws 400 for what is no policy. */
export const restartOf = (policy: Keys): string => {
  const name = asText(policy.Name) ?? 'no';
  const retries = asNumber(policy.MaximumRetryCount);
  if (!/^(no|always|unless-stopped|on-failure)$/.test(name)) {
    throw new ApiError(
      400,
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  if (retries !== undefined && name !== 'on-failure') {
    throw new ApiError(400, "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  return retries === undefined || name !== 'on-failure' ? name : `${name}:${retries}`;
};

/** Times are nanoseconds; none is the image's. */
const healthOf = (health: Keys): { healthcheck?: HealthcheckConfig } => {
  const test = asTexts(health.Test);
  if (test[0] === 'NONE') {
    return { healthcheck: { disable: true } };
  }
  const time = (key: string): string | undefined => {
    const value = asNumber(health[key]);
    return value === undefined ? undefined : `${value / 1e6}ms`;
  };
  const period = time('StartPeriod');
  const healthcheck = given({
    test: test.length === 0 ? undefined : [...test],
    interval: time('Interval'),
    timeout: time('Timeout'),
    start_period: period,
    start_interval: period === undefined ? undefined : time('StartInterval'),
    retries: asNumber(health.Retries),
  }) as HealthcheckConfig;
  return Object.keys(healthcheck).length === 0 ? {} : { healthcheck };
};

/** What has no effect here: docker's clients read in `inspect` what they wrote. */
const TOLD = [
  ...['Annotations', 'BlkioWeight', 'CgroupParent', 'CpuPeriod', 'CpuQuota', 'CpuRealtimePeriod', 'CpuRealtimeRuntime', 'CpuShares'],
  ...['CpusetCpus', 'CpusetMems', 'DeviceCgroupRules', 'Isolation', 'LogConfig', 'MemoryReservation', 'MemorySwap'],
  ...['OomKillDisable', 'OomScoreAdj', 'PidsLimit', 'SecurityOpt', 'Tmpfs', 'Ulimits', 'UsernsMode', 'VolumeDriver'],
];

/** Throws 400 for a log driver that docker does not know either. */
const askedFor = (host: Keys): Service => {
  const driver = asText(asRecord(host.LogConfig).Type);
  if (driver !== undefined && !LOG_DRIVERS.has(driver)) {
    throw new ApiError(400, `logger: no log driver named '${driver}' is registered`);
  }
  const asked = TOLD.filter((key) => isMeant(host[key])).map((key) => [key, host[key]]);
  const usual = driver === undefined ? { LogConfig: { Type: 'json-file', Config: asMap(asRecord(host.LogConfig).Config) } } : {};
  return asked.length === 0 ? {} : { [ASKED]: { ...Object.fromEntries(asked), ...usual } };
};

/** Clients write zeros and empty lists for what they do not ask for. */
const isMeant = (value: unknown): boolean =>
  typeof value === 'object' && value !== null
    ? Object.values(value).some((each) => isMeant(each))
    : value !== undefined && value !== null && value !== 0 && value !== '' && value !== false;

const LOG_DRIVERS: ReadonlySet<string> = new Set(
  ['json-file', 'local', 'none', 'syslog', 'journald', 'gelf', 'fluentd', 'awslogs', 'splunk'].concat(['etwlogs', 'gcplogs']),
);

/** What reaches into the host or another container, with the reason why a machine of its own has it not. */
const FOREIGN: ReadonlyArray<readonly [string, (value: unknown) => boolean, string]> = [
  ['PidMode', isForeign, 'machines do not share a kernel'],
  [
    'IpcMode',
    (value) => isForeign(value) && value !== 'private' && value !== 'shareable' && value !== 'none',
    'machines do not share a kernel',
  ],
  ['UTSMode', isForeign, 'machines do not share a kernel'],
  [
    'Devices',
    (value) => !devicesOf(value).every(isKvm),
    'a machine has /dev/kvm and whole PCI cards of the host (--gpus), not its device files',
  ],
  ['VolumesFrom', (value) => asList(value).length > 0, 'name the volume in both containers instead'],
];

function isForeign(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

const refuseForeign = (host: Keys): void => {
  for (const [key, applies, reason] of FOREIGN) {
    if (applies(host[key])) {
      throw notHere(`${key} ${JSON.stringify(host[key])}`, reason);
    }
  }
};
