import type { Refusal, RefusalRule } from '../../engine/model/events.ts';

const REASONS: Readonly<Record<RefusalRule, string>> = {
  egress: 'its x-hypr has no rule for it',
  policy: 'a policy of x-hypr says no',
  rate: 'there were too many in a short time',
};

/** The destination of a refused connection: `api.example.com (192.0.2.9:443)`. Not sanitised. */
export const refusedPlace = ({ to, name, protocol }: Pick<Refusal, 'to' | 'name' | 'protocol'>): string => {
  if (to === undefined) {
    return name === undefined ? 'many destinations' : protocol === 'dns' ? `the name ${name}` : name;
  }
  return name === undefined ? to : `${name} (${to})`;
};

/** One sentence about a refusal. Not sanitised. */
export const refusalText = (refusal: Refusal): string => {
  const { replica, protocol, rule, count } = refusal;
  const times = count > 1 ? ` (${count} times)` : '';
  const how = protocol === 'dns' ? 'may not ask for' : 'may not connect to';
  const by = protocol === 'dns' || refusal.protocol === '' ? '' : ` by ${protocol}`;
  return `${replica} ${how} ${refusedPlace(refusal)}${by}${times}: ${REASONS[rule] ?? rule}`;
};
