/** Programs and words of a shell that never reach for the network themselves, and run nothing but what stands beside them. */
const OFFLINE = new Set(
  `: true false test [ [[ ]] echo printf print cat tac ls dir stat file mkdir rmdir rm cp mv ln install touch truncate dd mktemp mkfifo mknod
   chmod chown chgrp chattr umask setcap getcap id whoami groups pwd cd pushd popd dirname basename readlink realpath sync df du mount umount
   env printenv export unset set shopt declare local typeset readonly alias eval shift return exit break continue read wait trap ulimit type which
   hash getopts let date uname hostname arch nproc free uptime ps kill sleep seq expr yes tee head tail wc sort uniq cut paste join comm
   tr fold fmt nl rev split csplit column od xxd hexdump strings base64 base32 md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum
   cksum sed awk gawk mawk grep egrep fgrep find xargs diff cmp patch tar gzip gunzip zcat bzip2 bunzip2 xz unxz xzcat zstd unzstd zip unzip
   cpio ar jq useradd usermod userdel groupadd groupmod groupdel adduser addgroup deluser delgroup passwd chpasswd chsh getent su locale
   locale-gen localedef dpkg-reconfigure update-ca-certificates update-ca-trust update-alternatives update-locale ldconfig ldd strip nm objdump size
   apt-mark dpkg dpkg-query debconf-set-selections rpm ssh-keygen tput stty clear busybox
   for case in select function fi done esac } ) ]`.split(/\s+/),
);
/** Programs that fetch, or run others that do, wherever they stand among the words. */
const TOOLS = new Set(
  `curl wget aria2c git gh apt apt-get aptitude apk dnf microdnf yum zypper pacman tdnf openssl node nodejs npm npx yarn pnpm corepack
   bun deno pip pipx uv uvx python poetry pipenv conda mamba pdm hatch tox go cargo rustup ruby gem bundle bundler rake php composer
   perl cpan cpanm java mvn gradle sbt dotnet nuget mix rebar swift dart flutter make cmake just task bazel terraform helm kubectl
   aws gcloud az docker brew nix`.split(/\s+/),
);
const SHELLS = new Set(['sh', 'bash', 'ash', 'dash', 'zsh', 'ksh', 'source', '.']);
/** Words that stand before a command. */
const PREFIX = /^([A-Za-z_]\w*\+?=.*|!|\{|then|do|else|elif|if|while|until|time|exec|command|builtin|sudo|nohup|env)$/;
const SYSTEM = /^\/(usr\/)?s?bin\/[^/]+$/;
/** Where output goes: what follows is a file. */
const REDIRECTION = /\d*(&>|[<>]+)&?-?\s*[^\s;&|()]*/g;

/**
 * Whether a shell's command may reach for the network. Only what is known to be offline is not: a program that nobody knows, or a file whose
 * content nobody knows, may.
 */
export const mayReachNetwork = (command: string): boolean =>
  command.split(/[\s;&|()`'"$=<>]+/).some(isTool) || partsOf(command).some(mayRunOther);

const isTool = (word: string): boolean =>
  TOOLS.has(word.slice(word.lastIndexOf('/') + 1).replace(/[\d.-]+$/, '')) && (!word.includes('/') || /\/s?bin\/[^/]+$/.test(word));

/** Its simple commands. What is in quotes runs nothing, but for a shell (`sh -c "…"`) and substitutions, which `isTool` sees. */
const partsOf = (command: string): string[] =>
  command
    .replace(/\\\n/g, ' ')
    .replace(/^\s*#(?!!).*$/gm, '')
    .replace(/=(?:'[^']*'|"[^"]*")/g, '=_')
    .replace(/'[^']*'|"(?:\\.|[^"\\])*"/g, (quoted) => quoted.replace(/[;&|\n(]/g, ' '))
    .replace(REDIRECTION, ' ')
    .split(/[;&|(`\n]+/);

const mayRunOther = (part: string): boolean => {
  const words = part.trim().split(/\s+/).map(unquoted);
  const start = words.findIndex((word) => word !== '' && !PREFIX.test(word));
  if (start < 0) {
    return false;
  }
  const [program = '', ...rest] = words.slice(start);
  const name = program.slice(program.lastIndexOf('/') + 1);
  const isKnown = !program.includes('/') || SYSTEM.test(program);
  if (isKnown && SHELLS.has(name)) {
    const script = rest.findIndex((word) => /^-\w*c\w*$/.test(word));
    return script < 0 ? rest.some((word) => !/^[-+]/.test(word)) : mayReachNetwork(rest.slice(script + 1).join(' '));
  }
  const run =
    name === 'xargs' ? rest.find((word) => /^[a-z./]/.test(word)) : rest[rest.findIndex((word) => /^-(exec|ok)(dir)?$/.test(word)) + 1];
  const runsOther = (name === 'xargs' || (name === 'find' && rest.some((word) => /^-(exec|ok)/.test(word)))) && run !== undefined;
  return !isKnown || !OFFLINE.has(name) || (runsOther && mayRunOther(run));
};

const unquoted = (word: string): string => word.replace(/^["'{]+(?=.)|["')]+$/g, '');
