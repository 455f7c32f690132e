import { HyprError } from '../../base/errors.ts';

/** A device request of the Compose specification. */
export interface GpuRequest {
  readonly count?: number | 'all';
  readonly device_ids?: readonly string[];
  readonly driver?: string;
  readonly capabilities: readonly string[];
}

/** Pure: docker's `--gpus`: `all`, `2`, `device=0`, `"device=0,1"`, `driver=nvidia,count=2`. Throws HYPR_USAGE. */
export const readGpus = (text: string): GpuRequest => {
  const fields = (text.match(/"[^"]*"|[^,]+/g) ?? []).map((field) => field.replace(/^"|"$/g, '').split(/=(.*)/s, 2));
  let request: GpuRequest = { capabilities: ['gpu'] };
  for (const [key = '', value] of fields) {
    request = { ...request, ...readField(text, key, value) };
  }
  if (fields.length === 0 || (request.count !== undefined && request.device_ids !== undefined)) {
    throw bad(text);
  }
  return request.count === undefined && request.device_ids === undefined ? { ...request, count: 'all' } : request;
};

const readField = (text: string, key: string, value: string | undefined): Partial<GpuRequest> => {
  if (value === undefined || key === 'count') {
    return { count: readCount(text, value ?? key) };
  }
  switch (key) {
    case 'device':
      return { device_ids: value.split(',') };
    case 'driver':
      return { driver: value };
    case 'capabilities':
      return { capabilities: value.split(',') };
    case 'options':
      return {};
    default:
      throw bad(text);
  }
};

const readCount = (text: string, value: string): number | 'all' => {
  if (value === 'all' || value === '-1') {
    return 'all';
  }
  if (!/^\d{1,3}$/.test(value)) {
    throw bad(text);
  }
  return Number(value);
};

const bad = (text: string): HyprError =>
  new HyprError('HYPR_USAGE', `--gpus does not know "${text}"`, {
    hint: `write all, a number, device=0, or '"device=0,1"'; a card by its address is --gpu 0000:01:00.0`,
  });
