import {
  EARLIER_FILE,
  MARK,
  madeFolders,
  type PlannedFile,
  previousPort,
  RESOLVER_FILES,
  SYSCTL_FILE,
  type SystemFacts,
  type SystemPlan,
} from './plan.ts';

/** The script that root runs, printed in full before. A file that cannot be written ends it; commands are all tried, and it fails if one did. */
export const setupScript = (plan: SystemPlan): string => {
  if (plan.files.length === 0) {
    return '';
  }
  const commands = [...new Set(plan.files.flatMap(({ after }) => after))];
  // What one command cannot do is no reason to leave the others out: the files are there, and a second run would have nothing to do.
  const run = commands.map((command) => `${command} || { echo "hypr: ${command}: failed" >&2; failed=1; }`);
  return [...HEAD, ...plan.files.flatMap(writeFile), '', 'failed=0', ...run, 'exit $failed', ''].join('\n');
};

const HEAD = ['set -eu', 'umask 022', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin'];

const writeFile = ({ path, text, folders, purpose }: PlannedFile): string[] => [
  '',
  // One line, whatever is in it: what follows a line break would be a command of root's.
  `# ${purpose.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')}`,
  ...folders.map((folder) => `mkdir -p ${folder}`),
  // Never over a file that appeared after this was printed.
  `set -C; cat > ${path} <<'HYPR'; set +C`,
  `${text}HYPR`,
];

/** The script that removes what setupScript made, found by our mark and the certificate's name; '' where there is nothing. */
export const undoScript = (facts: SystemFacts, mine: (certificate: string) => boolean): string => {
  const marked = [...facts.files].filter(([, text]) => text.startsWith(MARK));
  const certificates = [...facts.files].filter(([path, text]) => path.endsWith('.crt') && mine(text));
  if (marked.length + certificates.length === 0) {
    return '';
  }
  const removed = [...marked, ...certificates].map(([path]) => `rm -f ${path}`);
  const folders = marked.flatMap(([, text]) => madeFolders(text)).map((folder) => `rmdir --ignore-fail-on-non-empty ${folder}`);
  const before = resolversOf(marked).flatMap(({ beforeUndo }) => beforeUndo.map(orSay));
  return [...HEAD, ...before, ...removed, ...folders, ...commandsAfter(facts, marked, certificates.length > 0), ''].join('\n');
};

const commandsAfter = (facts: SystemFacts, marked: ReadonlyArray<readonly [string, string]>, hasCertificates: boolean): string[] => {
  const sysctl = marked.find(([path]) => path === SYSCTL_FILE)?.[1];
  return [
    ...(sysctl === undefined ? [] : [`sysctl -q -w net.ipv4.ip_unprivileged_port_start=${previousPort(sysctl) ?? 1024}`]),
    ...(hasCertificates && facts.store !== undefined ? [facts.store.renew] : []),
    // Last and on its own: a resolver that was removed since cannot be restarted.
    ...resolversOf(marked).flatMap(({ afterUndo }) => afterUndo.map(orSay)),
  ];
};

const resolversOf = (marked: ReadonlyArray<readonly [string, string]>) =>
  [...Object.values(RESOLVER_FILES), EARLIER_FILE].filter(({ path }) => marked.some(([there]) => there === path));

const orSay = (command: string): string => `${command} || echo "hypr: ${command}: failed" >&2`;
