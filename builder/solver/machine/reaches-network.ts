/** Programs that fetch, or run others that do. */
const TOOLS = new Set(
  `curl wget aria2c git gh apt apt-get aptitude apk dnf microdnf yum zypper pacman tdnf openssl node nodejs npm npx yarn pnpm corepack
   bun deno pip pipx uv uvx python poetry pipenv conda mamba pdm hatch tox go cargo rustup ruby gem bundle bundler rake php composer
   perl cpan cpanm java mvn gradle sbt dotnet nuget mix rebar swift dart flutter make cmake just task bazel terraform helm kubectl
   aws gcloud az docker brew nix`.split(/\s+/),
);
const SHELLS = new Set(['sh', 'bash', 'ash', 'dash', 'zsh', 'ksh', 'source', '.']);
/** Words that stand before a command. */
const PREFIX = /^([A-Za-z_]\w*=.*|!|\{|then|do|else|if|while|until|time|exec|command|sudo|nohup)$/;
const SYSTEM = /^\/(usr\/)?s?bin\/[^/]+$/;

/**
 * Whether a shell's command may reach for the network: it names a program that does (any version of it), or it runs a file, whose
 * content nobody knows.
 */
export const mayReachNetwork = (command: string): boolean => {
  const words = command.split(/[\s;&|()`'"$=<>]+/);
  return words.some(isTool) || command.split(/[;&|(`\n]+/).some(runsFile);
};

const isTool = (word: string): boolean =>
  TOOLS.has(word.slice(word.lastIndexOf('/') + 1).replace(/[\d.-]+$/, '')) && (!word.includes('/') || /\/s?bin\/[^/]+$/.test(word));

const runsFile = (part: string): boolean => {
  const words = part.trim().split(/\s+/);
  const [program = '', ...rest] = words.slice(words.findIndex((word) => !PREFIX.test(word)));
  const argument = rest.find((word) => !/^[-+]/.test(word));
  const isShell = SHELLS.has(program.slice(program.lastIndexOf('/') + 1));
  return isShell ? argument !== undefined && !rest.some((word) => /^-\w*c$/.test(word)) : program.includes('/') && !SYSTEM.test(program);
};
