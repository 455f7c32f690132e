import { describe, expect, it } from 'vitest';
import { readEdgeInfo, readErrorCode, readIndexState } from '../../../engine/edge/read-holder.ts';

const INFO = { pid: 7, domain: 'hypr', port: 7080, systemPorts: [80, 443], dnsPort: 41_003, tls: true, problems: ['no'] };
const SERVICE = { name: 'web', state: 'running', names: [{ host: 'web.shop', full: true, https: true }], ports: [{ port: 80 }], web: 80 };
const STATE = { domain: 'hypr', stacks: [{ name: 'shop', services: [SERVICE], logs: [] }] };

const without = (value: object, key: string): object => Object.fromEntries(Object.entries(value).filter(([each]) => each !== key));
const failure = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return (error as { code?: string }).code;
  }
};

describe('readEdgeInfo', () => {
  it('gives what the holder serves', () => {
    expect(readEdgeInfo(JSON.stringify({ ...INFO, more: 1 }))).toEqual(INFO);
    expect(readEdgeInfo(JSON.stringify(without(without(INFO, 'port'), 'dnsPort')))).not.toHaveProperty('port');
  });

  it.each(['', '7', '[]', 'null', '{', ...['pid', 'domain', 'systemPorts', 'problems'].map((key) => JSON.stringify(without(INFO, key)))])(
    'refuses %s',
    (text) => expect(failure(() => readEdgeInfo(text))).toBe('SUPERVISOR_VERSION'),
  );
});

describe('readIndexState', () => {
  it('gives the stacks', () => {
    expect(readIndexState(JSON.stringify(STATE))[0]?.services[0]?.web).toBe(80);
  });

  it.each(Object.keys(SERVICE).filter((key) => key !== 'web'))('refuses a service without %s', (key) => {
    const state = { stacks: [{ name: 'shop', services: [without(SERVICE, key)] }] };
    expect(failure(() => readIndexState(JSON.stringify(state)))).toBe('SUPERVISOR_VERSION');
  });
});

describe('readErrorCode', () => {
  it('is undefined without the header, and EDGE_UPSTREAM for a code that only another version knows', () => {
    expect([undefined, 'NAME_NOT_READY', 'NAME_OF_TOMORROW', 'toString'].map((code) => readErrorCode(code))).toEqual([
      ...[undefined, 'NAME_NOT_READY'],
      ...['EDGE_UPSTREAM', 'EDGE_UPSTREAM'],
    ]);
  });
});
