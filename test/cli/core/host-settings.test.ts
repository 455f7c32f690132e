import { expect, test } from 'vitest';
import { checkHostSettings } from '../../../cli/core/host-settings.ts';
import { fakeContext, run } from '../support/fake-context.ts';

const linux = (env: NodeJS.ProcessEnv) => checkHostSettings({ platform: 'linux', arch: 'x64', env });

test.each([
  ['darwin', 'arm64'],
  ['linux', 'arm64'],
  ['win32', 'x64'],
])('%s %s has no backend, and is told so', (platform, arch) => {
  expect(() => checkHostSettings({ platform, arch, env: {} })).toThrow(
    expect.objectContaining({ code: 'HYPR_UNSUPPORTED', message: expect.stringContaining(`this is ${platform} ${arch}`) }),
  );
});

test.each(['libkrun', 'cloud-hypervisor', 'chv'])('HYPR_VMM=%s is refused', (vmm) => {
  expect(() => linux({ HYPR_VMM: vmm })).toThrow(`HYPR_VMM is "${vmm}", and the only backend is QEMU`);
});

test('what is there, or switched off, is not', () => {
  expect(linux({ HYPR_VMM: 'QEMU', HYPR_OTLP_ENABLED: '0', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })).toEqual([]);
  expect(linux({ HYPR_OTLP_ENABLED: '1' })).toEqual([]);
});

test('a command says what has no effect, and goes on; one that is refused does nothing', async () => {
  const context = fakeContext({ env: { HYPR_OTLP_ENABLED: '1', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' } });
  expect(await run(context, 'ls')).toBe(0);
  expect(context.stderr.text).toContain('warning: HYPR_OTLP_ENABLED has no effect: OTEL_EXPORTER_OTLP_PROTOCOL is grpc');
  const other = fakeContext({ env: { HYPR_VMM: 'libkrun' } });
  expect(await run(other, 'up -d')).toBe(1);
  expect(other.stderr.text).toContain('HYPR_ACCEL');
  expect(other.fake.opened).toBe(0);
  expect(await run(other, 'version')).toBe(0);
});
