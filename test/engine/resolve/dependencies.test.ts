import { describe, expect, it } from 'vitest';
import type { Project } from '../../../compose/model/model.ts';
import { orderServices } from '../../../engine/resolve/dependencies.ts';

/** Services by what they depend on. */
const projectOf = (needs: Record<string, readonly string[]>): Project =>
  ({
    services: Object.fromEntries(
      Object.entries(needs).map(([name, names]) => [
        name,
        { depends_on: Object.fromEntries(names.map((each) => [each, { condition: 'service_started', required: true }])) },
      ]),
    ),
  }) as unknown as Project;
const everything = { withDependencies: true };

describe('the order of services', () => {
  it('has what a service needs before it, otherwise by name, each once', () => {
    const shop = projectOf({ web: ['cache', 'api'], api: ['db'], db: [], cache: ['db'], extra: [] });
    expect(orderServices(shop, [], everything)).toEqual(['db', 'api', 'cache', 'extra', 'web']);
    expect(orderServices(shop, ['cache'], everything)).toEqual(['db', 'cache']);
    expect(orderServices(shop, ['web', 'db'], { withDependencies: false })).toEqual(['db', 'web']);
  });

  it('tells a circle by its services', () => {
    expect(() => orderServices(projectOf({ a: ['b'], b: ['c'], c: ['b'] }), [], everything)).toThrow(
      'services depend on each other in a circle: a -> b -> c -> b',
    );
  });

  it('takes a chain as long as a file, and a lattice with more ways through it than there is time', () => {
    const numbers = Array.from({ length: 20_000 }, (_, index) => index);
    const chain = projectOf(Object.fromEntries(numbers.map((at) => [`s${at}`, at === 0 ? [] : [`s${at - 1}`]])));
    expect(orderServices(chain, ['s19999'], everything)).toEqual(numbers.map((at) => `s${at}`));
    const rows = numbers
      .slice(0, 60)
      .flatMap((at) => ['a', 'b'].map((row) => [`${row}${at}`, at === 0 ? [] : [`a${at - 1}`, `b${at - 1}`]]));
    expect(orderServices(projectOf(Object.fromEntries(rows)), ['a59'], { withDependencies: false })).toEqual(['a59']);
  });
});
