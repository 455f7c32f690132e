import { describe, expect, it } from 'vitest';
import { fakeContext, run } from '../support/fake-context.ts';

describe('uninstall', () => {
  it('takes stacks down with their volumes, undoes the set-up of names, and removes the home', async () => {
    const context = fakeContext();
    expect(await run(context, 'uninstall --yes')).toBe(0);
    expect(context.fake.call('down')?.args).toContainEqual(expect.objectContaining({ volumes: true, removeOrphans: true }));
    expect(context.fake.call('undoBrowser')).toBeDefined();
    expect(context.fake.call('removeHome')).toBeDefined();
    expect(context.stderr.text).toContain('npm uninstall -g hypr');
  });

  it('does nothing with --dry-run, and without an answer', async () => {
    const context = fakeContext();
    expect(await run(context, 'uninstall --dry-run')).toBe(0);
    expect(context.stdout.text).toContain(', these stacks: shop, these volumes with all their data: shop_data, old\n');
    expect(await run(context, 'uninstall')).not.toBe(0);
    expect(context.fake.call('removeHome')).toBeUndefined();
  });
});
