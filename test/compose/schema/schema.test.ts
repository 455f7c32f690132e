import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Budget } from '../../../compose/model/limits.ts';
import { COMPOSE_SCHEMA } from '../../../compose/schema/compose-spec.ts';
import { SERVICE } from '../../../compose/schema/fields.ts';
import { findViolation } from '../../../compose/schema/find-violation.ts';
import { type Node, toPlain } from '../../../compose/source/node.ts';
import { SourceFile, syntheticMark } from '../../../compose/source/source.ts';
import { parseYaml } from '../../../compose/yaml/parse.ts';
import { runs } from '../../support/seed.ts';

/** Ajv is the judge; hypr reads the same schema itself, because compiling it would take a third of a second. */
const judge = new Ajv2020({ strict: false, validateFormats: false }).compile(COMPOSE_SCHEMA);

const nodeOf = (value: unknown): Node => {
  const mark = syntheticMark('f');
  if (Array.isArray(value)) {
    return { kind: 'list', items: value.map(nodeOf), mark };
  }
  if (value !== null && typeof value === 'object') {
    return { kind: 'map', entries: new Map(Object.entries(value).map(([key, item]) => [key, nodeOf(item)])), mark };
  }
  return { kind: 'scalar', value: value as string, mark };
};

/** Texts of all recorded cases that are YAML on their own. */
const models: unknown[] = [];
for (const name of readdirSync(join(import.meta.dirname, '../edge'))) {
  const { files } = JSON.parse(readFileSync(join(import.meta.dirname, '../edge', name), 'utf8')) as { files: Record<string, string> };
  for (const [path, text] of Object.entries(files).filter(([file]) => file.endsWith('.yaml'))) {
    try {
      models.push(
        ...(await parseYaml(new SourceFile(path, text), new Budget())).map(({ root }) => JSON.parse(JSON.stringify(toPlain(root)))),
      );
    } catch {
      // Cases about broken YAML.
    }
  }
}

describe('the schema', () => {
  test('has the attributes of a service that have a type in compose/schema/fields.ts, by which `config` prints them', () => {
    const service = Object.values(COMPOSE_SCHEMA.properties?.services?.patternProperties ?? {})[0];
    const attributes = Object.keys(service?.properties ?? {});
    // Docker compose's schema has it, `config` prints nothing of it.
    expect(attributes.filter((name) => !(name in SERVICE.fields))).toEqual(['pull_refresh_after']);
    expect(attributes, "as many as docker compose's own schema has; count a new one here").toHaveLength(93);
  });

  test('is read as ajv reads it: recorded cases', () => {
    expect(models.length).toBeGreaterThan(120);
    for (const model of models) {
      expect([model, findViolation(nodeOf(model), COMPOSE_SCHEMA) === undefined]).toEqual([model, judge(model)]);
    }
  });

  test('is read as ajv reads it: mutated cases', () => {
    const junk = fc.oneof(
      fc.constantFrom(null, true, 0, 1.5, -1, '', 'x', 'all', 'bind'),
      fc.constantFrom<unknown>([], {}, ['a', 'a'], { a: 1 }, [{}], { 'x-a': 1 }, [1]),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...models),
        fc.array(fc.nat(), { minLength: 1, maxLength: 6 }),
        junk,
        fc.boolean(),
        (model, route, value, add) => {
          const changed = mutate(structuredClone(model), route, value, add);
          expect(findViolation(nodeOf(changed), COMPOSE_SCHEMA) === undefined).toBe(judge(changed));
        },
      ),
      runs(3000),
    );
  });
});

/** Replaces the value at the end of a walk, or adds one beside it. */
const mutate = (model: unknown, route: readonly number[], value: unknown, add: boolean): unknown => {
  if (model === null || typeof model !== 'object') {
    return value;
  }
  const keys = Object.keys(model);
  const [step = 0, ...rest] = route;
  const key = keys[step % Math.max(1, keys.length)];
  if (key === undefined || rest.length === 0) {
    const name = add ? (['x-new', 'nonsense', 'labels', 'driver'][step % 4] ?? '') : (key ?? 'image');
    return Array.isArray(model) ? [...model, value] : { ...model, [name]: value };
  }
  const child = (model as Record<string, unknown>)[key];
  (model as Record<string, unknown>)[key] = mutate(child, rest, value, add);
  return model;
};
