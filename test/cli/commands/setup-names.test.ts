import { describe, expect, it } from 'vitest';
import { fakeContext, run } from '../support/fake-context.ts';

describe('setup --browser', () => {
  it('prints a line for each place', async () => {
    const context = fakeContext();
    expect(await run(context, 'setup --browser')).toBe(0);
    expect(context.stdout.text).toBe('✔ /home/me/.pki/nssdb: trusts it now\n');
  });

  it('changes nothing with --dry-run', async () => {
    const context = fakeContext();
    context.fake.trust = { ...context.fake.trust, trust: [{ what: 'chromium', place: '/home/me/.pki/nssdb', trusts: false }] };
    expect(await run(context, 'setup --browser --dry-run')).toBe(0);
    expect(context.stdout.text).toBe(
      'chromium: /home/me/.pki/nssdb: would trust it\nproxy of the desktop: would be set for names of services\n',
    );
    expect(context.fake.call('setupBrowser')).toBeUndefined();
  });
});

describe('setup --system', () => {
  it('prints what root would run and runs exactly that after a yes', async () => {
    const context = fakeContext();
    expect(await run(context, 'setup --system --yes')).toBe(0);
    expect(context.stdout.text).toBe('set -eu\n');
    expect(context.stderr.text).toContain('every user may listen from port 80 on already');
    expect(context.fake.call('runAsRoot')?.args).toEqual(['set -eu\n']);
  });

  it.each(['setup --system', 'setup --system --dry-run', 'setup --undo --dry-run'])('runs nothing as root: %s', async (line) => {
    const context = fakeContext();
    expect(await run(context, line)).toBe(line.includes('dry-run') ? 0 : 1);
    expect(context.stdout.text).toBe('set -eu\n');
    expect(context.fake.calls).toEqual([]);
  });

  it('runs nothing where there is nothing to do', async () => {
    const context = fakeContext();
    context.fake.rootScript = '';
    expect(await run(context, 'setup --system')).toBe(0);
    expect(context.stderr.text).toContain('already');
    expect(context.fake.call('runAsRoot')).toBeUndefined();
  });
});

describe('setup --undo', () => {
  it('undoes both tiers', async () => {
    const context = fakeContext();
    expect(await run(context, 'setup --undo --yes')).toBe(0);
    expect(context.fake.calls.map(({ name }) => name)).toEqual(['undoBrowser', 'runAsRoot']);
  });

  it('is given alone', async () => {
    expect(await run(fakeContext(), 'setup --undo --browser')).toBe(1);
    expect(await run(fakeContext(), 'setup --dry-run')).toBe(1);
  });
});

describe('trust', () => {
  it('says how to get an authority where there is none', async () => {
    const context = fakeContext();
    expect(await run(context, 'trust')).toBe(0);
    expect(context.stdout.text).toBe('No certificate authority yet, so no https names. It is made by: hypr setup --browser\n');
  });

  it('says who trusts it and what to run for the others', async () => {
    const context = fakeContext();
    const authority = {
      name: 'hypr development CA 0a1b2c (ada@host)',
      path: '/h/ca/hypr/ca.pem',
      fingerprint: 'AB:CD',
      notAfter: '2036-01-02T00:00:00Z',
    };
    const trust = [
      { what: 'chromium', place: '/home/ada/.pki/nssdb', trusts: true },
      { what: 'system', place: '/etc/ssl/certs/ca-certificates.crt', trusts: false },
    ] as const;
    context.fake.trust = { ...context.fake.trust, authority, trust, edge: true };
    expect(await run(context, 'trust')).toBe(0);
    expect(context.stdout.text).toBe(
      [
        'hypr development CA 0a1b2c (ada@host)',
        '  file         /h/ca/hypr/ca.pem',
        '  SHA-256      AB:CD',
        '  until        2036-01-02',
        '  vouches for  names of hypr and localhost, nothing else',
        'Trusted by',
        '  ✔ Chromium, Chrome, Edge: /home/ada/.pki/nssdb',
        '  ✗ curl, git and others: /etc/ssl/certs/ca-certificates.crt   hypr setup --system',
        '    Node.js: NODE_EXTRA_CA_CERTS=/h/ca/hypr/ca.pem',
        'Names',
        '  ✔ the edge answers',
        '  ✗ proxy of the desktop: nothing is set',
        '  ✗ programs find names of .hypr   hypr setup --system',
        '  ✗ port 443 is served   hypr setup --system',
        '',
      ].join('\n'),
    );
    const json = fakeContext();
    json.fake.trust = context.fake.trust;
    expect(await run(json, 'trust --format json')).toBe(0);
    expect(JSON.parse(json.stdout.text)).toEqual(context.fake.trust);
  });
});
