import { describe, expect, it } from 'vitest';
import { fakeContext, run } from '../support/fake-context.ts';

describe('setup', () => {
  it('--ci prints what was set up for programs, and draws nothing', async () => {
    const context = fakeContext();
    expect(await run(context, 'setup --ci')).toBe(0);
    expect(context.stdout.text).toMatch(/^version=\S+\ntoolchain=abc\naccelerator=tcg\nhome=\S+\n$/);
  });

  it('--bundle writes what setup fetches into a file of the working folder', async () => {
    const context = fakeContext();
    expect(await run(context, 'setup --bundle out.tar')).toBe(0);
    expect(context.fake.call('bundle')?.args).toEqual([expect.stringMatching(/^\/.*\/out\.tar$/)]);
  });

  it.each(['setup --bundle a --from b', 'setup --undo --from b', 'setup --browser --ci'])('refuses %s', async (line) => {
    const context = fakeContext();
    expect(await run(context, line)).not.toBe(0);
    expect(context.stderr.text).toContain('cannot be given together');
  });
});

describe('the first command that needs machines', () => {
  it.each(['run --rm alpine true', 'pull alpine'])('sets up before %s', async (line) => {
    const context = fakeContext();
    context.fake.isSetUp = false;
    await run(context, line);
    expect(context.stderr.text).toContain('not set up yet');
  });

  it.each(['ps', 'images', 'up --dry-run'])('leaves the host alone for %s', async (line) => {
    const context = fakeContext();
    context.fake.isSetUp = false;
    await run(context, line);
    expect(context.stderr.text).not.toContain('not set up yet');
  });
});
