/** One way to satisfy a dependency. */
export interface Alternative {
  readonly name: string;
  readonly relation?: '<<' | '<=' | '=' | '>=' | '>>';
  readonly version?: string;
}

/** `a (>= 1), b | c:any` as groups of alternatives (Debian policy, section 7.1). Pure. */
export const parseRelations = (text: string): Alternative[][] =>
  text
    .split(',')
    .map((group) => group.split('|').flatMap(parseAlternative))
    .filter((group) => group.length > 0);

const parseAlternative = (text: string): Alternative[] => {
  const match = /^\s*([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(\s*(<<|<=|=|>=|>>)\s*([^\s)]+)\s*\))?/.exec(text);
  const [, name, relation, version] = match ?? [];
  if (name === undefined) {
    return [];
  }
  return [relation === undefined || version === undefined ? { name } : { name, relation: relation as '=', version }];
};

/** Whether a version satisfies an alternative's; one without a version is satisfied by all. Pure. */
export const satisfies = (version: string, wanted: Alternative): boolean => {
  if (wanted.relation === undefined || wanted.version === undefined) {
    return true;
  }
  const order = compareVersions(version, wanted.version);
  return { '<<': order < 0, '<=': order <= 0, '=': order === 0, '>=': order >= 0, '>>': order > 0 }[wanted.relation];
};

/** The order of two versions as dpkg has it (Debian policy, section 5.6.12): epoch, upstream version, revision. Pure. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [splitVersion(a), splitVersion(b)];
  return left.epoch - right.epoch || comparePart(left.upstream, right.upstream) || comparePart(left.revision, right.revision);
};

const splitVersion = (text: string): { epoch: number; upstream: string; revision: string } => {
  const [, epoch = '0', rest = ''] = /^(?:(\d+):)?(.*)$/.exec(text) ?? [];
  const dash = rest.lastIndexOf('-');
  return { epoch: Number(epoch), upstream: dash < 0 ? rest : rest.slice(0, dash), revision: dash < 0 ? '' : rest.slice(dash + 1) };
};

/** Text and numbers in turn; in text `~` comes before the end, and letters before everything else. */
const comparePart = (a: string, b: string): number => {
  let [left, right] = [a, b];
  while (left !== '' || right !== '') {
    const [leftText = '', rightText = ''] = [/^\D*/.exec(left)?.[0], /^\D*/.exec(right)?.[0]];
    for (let at = 0; at < Math.max(leftText.length, rightText.length); at++) {
      const order = weight(leftText[at]) - weight(rightText[at]);
      if (order !== 0) {
        return order;
      }
    }
    [left, right] = [left.slice(leftText.length), right.slice(rightText.length)];
    const [leftDigits = '', rightDigits = ''] = [/^\d*/.exec(left)?.[0], /^\d*/.exec(right)?.[0]];
    const order = BigInt(leftDigits || 0) - BigInt(rightDigits || 0);
    if (order !== 0n) {
      return order < 0n ? -1 : 1;
    }
    [left, right] = [left.slice(leftDigits.length), right.slice(rightDigits.length)];
  }
  return 0;
};

const weight = (character: string | undefined): number => {
  if (character === undefined) {
    return 0;
  }
  const code = character.charCodeAt(0);
  return character === '~' ? -1 : /[A-Za-z]/.test(character) ? code : code + 256;
};
