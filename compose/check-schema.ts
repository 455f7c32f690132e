import type { Node } from './node.ts';
import { formatPath } from './path-table.ts';
import { COMPOSE_SCHEMA } from './schema/compose-spec.ts';
import { findViolation } from './schema/validate.ts';
import { errorAt } from './source.ts';
import { didYouMean } from './suggest.ts';

/**
 * Checks a model against the Compose schema.
 * @throws COMPOSE_INVALID at the offending key or value
 */
export const checkSchema = (root: Node): void => {
  const violation = findViolation(root, COMPOSE_SCHEMA);
  if (violation === undefined) {
    return;
  }
  const { path, node, message, unknownKey } = violation;
  const where = path.length === 0 ? 'the file' : formatPath(path);
  const isKey = unknownKey !== undefined && message.includes('not known');
  throw errorAt('COMPOSE_INVALID', `${where}: ${message}`, {
    mark: isKey ? (node.keyMark ?? node.mark) : node.mark,
    hint: unknownKey === undefined ? undefined : (didYouMean(unknownKey.key, unknownKey.known) ?? shortList(unknownKey.known)),
  });
};

const shortList = (known: readonly string[]): string | undefined => (known.length > 12 ? undefined : `possible here: ${known.join(', ')}`);
