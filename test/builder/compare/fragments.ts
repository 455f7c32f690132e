import type { Random } from '../../support/random.ts';

const TARGETS = ['/t', '/t/', '/t/sub/', 'rel', 'rel/', '.', '/opt', '/etc/new', '/t/sub/file', '/lnk/x', '/usr/share/'];
const SOURCES = [
  'd',
  'd/',
  'd/.',
  '.',
  '*',
  '*.txt',
  'd/*',
  'e',
  '["e e", "/ee/"]',
  'd/sub',
  'empty',
  'twin*',
  './d/../e',
  '/d',
  'd/**',
  '?',
  'nothing*',
];

/** Of the context, where it has one. */
const ARCHIVE = 'd/archive';

/** COPY, ADD or WORKDIR. */
export const fileInstruction = (random: Random, stage: number, paths: readonly string[]): string => {
  const roll = random.below(100);
  if (roll < 12) {
    return `WORKDIR ${random.pick(['/w', 'w2', 'w3/../v', '/deep/er/still', '/t', '/', '$GLOBAL', 'sp ace', '/etc'])}`;
  }
  if (roll < 22) {
    return document(random);
  }
  if (roll < 30 && paths.includes(ARCHIVE)) {
    return `ADD ${random.pick(['', '--chown=5:6 ', '--chmod=700 '])}${ARCHIVE} ${random.pick(['/arch/', '/arch/x', '/t', 'rel/'])}`;
  }
  const flags = [
    ...(random.chance(0.25) ? [`--chown=${random.pick(['1000:1000', 'daemon', 'root:daemon', '7', '65534:0'])}`] : []),
    ...(random.chance(0.2) ? [`--chmod=${random.pick(['644', '0755', '4711', '600', '1777'])}`] : []),
    ...(random.chance(0.15) ? ['--link'] : []),
  ];
  // An engine without containerd's store only pretends --link: what it makes is compared where nothing else is.
  const target = flags.includes('--link') ? `/linked${random.below(1000)}/` : random.pick(TARGETS);
  const fromStage = stage > 0 && random.chance(0.35);
  const source = fromStage
    ? random.pick(['/etc', '/etc/passwd', '/etc/*', '/bin/sh', '/', '/etc/', '/arch', '/t', '/run-made/'])
    : random.pick(random.chance(0.4) && paths.length > 0 ? paths : SOURCES);
  const fromContext = !fromStage && random.chance(0.1);
  const from = fromStage ? [`--from=s${random.below(stage)}`] : fromContext ? ['--from=extra'] : [];
  const verb = from.length > 0 || random.chance(0.85) ? 'COPY' : 'ADD';
  if (source.startsWith('[') || source.includes(' ')) {
    const names = source.startsWith('[') ? (JSON.parse(source) as string[]) : [source, '/blank/'];
    return [verb, ...flags, ...from, JSON.stringify(flags.includes('--link') ? [names[0], target] : names)].join(' ');
  }
  return [verb, ...flags, ...from, source, target].join(' ');
};

const document = (random: Random): string => {
  if (random.chance(0.2)) {
    return `COPY <<one <<"two words" /docs/\n$PLAIN\none\n$PLAIN\ntwo words`;
  }
  const quote = random.chance(0.3) ? "'" : '';
  const dash = random.chance(0.3) ? '-' : '';
  const chmod = random.chance(0.4) ? `--chmod=${random.pick(['755', '600'])} ` : '';
  const tab = dash === '' ? '' : '\t';
  return `COPY ${chmod}<<${dash}${quote}EOF${quote} ${random.pick(['/doc', '/t/doc.txt', 'doc'])}\n${tab}hello $PLAIN \${GLOBAL:-none}\n  indented\n${tab}EOF`;
};

export const metadataInstruction = (random: Random): string =>
  random.pick([
    () =>
      `ENV ${random.pick(['A=1', 'B="two words"', 'C=$A', 'D=${PLAIN:-dflt}', 'PATH=/x:$PATH', 'E=a\\ b F=2', 'LEGACY some value', 'G=', 'A=${A}x', "Q='$A'"])}`,
    () => `ARG ${random.pick(['PLAIN', 'PLAIN=default', 'GLOBAL', 'A=arg', 'X=1 Y=2', 'HTTP_PROXY', 'Z="q r"'])}`,
    () => `LABEL ${random.pick(['a=b', 'k="v w" l=m', '"q.r"=$A', 'multi=1 multi=2', 'only value', 'x='])}`,
    () => `CMD ${random.pick(['["a","b"]', 'echo $A', '[]', '["sh", "-c", "x y"]', "['single']", 'exec x'])}`,
    () => `ENTRYPOINT ${random.pick(['["e"]', 'e f', '[]', '["/bin/sh", "-c"]'])}`,
    () => `EXPOSE ${random.pick(['80', '80/tcp 53/udp', '8000-8002', '$PORT 9', '443/TCP'])}`,
    () => `USER ${random.pick(['1000', 'daemon', 'root', '1000:50', '0'])}`,
    () => `VOLUME ${random.pick(['/data', '["/v1", "/v 2"]', '/a /b', '$A/x'])}`,
    () => `STOPSIGNAL ${random.pick(['SIGTERM', '9', 'SIGRTMIN+3', 'INT'])}`,
    () =>
      `HEALTHCHECK ${random.pick(['NONE', 'CMD x y', '--interval=5s --retries=2 CMD ["a","b"]', '--timeout=1m30s --start-period=100ms CMD true'])}`,
    () => `SHELL ${random.pick(['["/bin/sh", "-ec"]', '["/bin/sh", "-c"]', '["/bin/sh", "-x", "-c"]'])}`,
    () => `ONBUILD ${random.pick(['ENV OB=1', 'LABEL ob=1', 'WORKDIR /ob', 'COPY a* /ob/'])}`,
    () => `MAINTAINER ${random.pick(['me', 'Some One <x@y>'])}`,
  ])();

const FOLDERS = ['/run-made', '/run-made/d', '/t', '/opt', '/t/sub', '/etc/conf.d'];
const LEAVES = ['f', 'g', 'link', 'odd name', 'sub'];

/** A RUN of a few steps in a small set of paths, so that they meet. */
export const runInstruction = (random: Random, stage: number): string => {
  const count = 1 + random.below(6);
  const steps = Array.from({ length: count }, () => step(random));
  const mounts = Array.from({ length: random.pick([0, 0, 0, 1, 1, 3]) }, () => ` ${mount(random, stage)}`).join('');
  const form = random.below(12);
  if (form === 0) {
    return `RUN${mounts} ["/bin/sh", "-c", ${JSON.stringify(steps.join('; '))}]`;
  }
  if (form > 9) {
    return `RUN${mounts} <<EOF\n#!/bin/sh\n${steps.join('\n')}\nEOF`;
  }
  return form < 3 ? `RUN${mounts} <<EOF\n${steps.join('\n')}\nEOF` : `RUN${mounts} ${steps.join('; ')}`;
};

const mount = (random: Random, stage: number): string =>
  `--mount=${random.pick([
    'type=tmpfs,target=/scratch',
    'type=cache,target=/cache',
    'type=cache,target=/cache/x,mode=0700,uid=7',
    'type=bind,target=/ctx',
    'target=/ctx',
    'type=bind,source=d,target=/ctx,rw',
    'type=cache,target=/cache/shared,id=one,sharing=locked',
    'type=cache,target=cached',
    'type=tmpfs,target=/t',
    'type=bind,source=d/sub,target=/run-made/d',
    'type=bind,from=extra,target=/ctx/deep',
    'type=secret,id=absent',
    'type=secret,id=given',
    'type=secret,id=given,target=/ctx/secret,mode=0444,uid=5',
    'type=secret,id=given,env=SECRET',
    ...(stage > 0 ? ['type=bind,from=s0,target=/other', 'from=s0,source=/etc,target=/other/etc'] : []),
  ])}`;

const place = (random: Random): string => `"${random.pick(FOLDERS)}/${random.pick(LEAVES)}"`;

const step = (random: Random): string => {
  const a = place(random);
  const b = place(random);
  const folder = random.pick(FOLDERS);
  const text = random.pick([
    () => `mkdir -p ${folder}`,
    () => `mkdir -p ${folder} && echo "$A $PLAIN" > ${a}`,
    () => `mkdir -p ${a}`,
    () => `rm -rf ${a}`,
    () => `rm -rf ${folder}`,
    () => `rm -rf ${folder}; mkdir ${folder}`,
    () => `rm -rf ${folder}; mkdir ${folder}; echo again > ${folder}/new`,
    () => `ln -s ${random.pick(['/etc/passwd', 'f', '../t', 'nowhere'])} ${a}`,
    () => `ln ${a} ${b}`,
    () => `mv ${a} ${b}`,
    () => `chmod ${random.pick(['700', '4755', '1777', '000', 'g+s'])} ${a}`,
    () => `chmod ${random.pick(['700', '2755', '1777'])} ${folder}`,
    () => `chown ${random.pick(['1:1', '1000:50', '70000:70000'])} ${a}`,
    () => `chown -h 5:6 ${a}`,
    () => `touch -d @1500000000 ${a}`,
    () => `touch -h -d @1400000000 ${a}`,
    () => `cp -a ${a} ${b}`,
    () => `cp -a /etc ${folder}/etc-copy`,
    () => `mkfifo ${a}`,
    () => `mknod ${a} c 1 3`,
    () => `ln ${a} /other-link; chmod 640 ${a}`,
    () => `touch ${folder}/"$(printf 'n\\377')"; mv ${folder}/n* ${b}`,
    () => `cp -a /arch ${folder}/arch; mv /arch/x ${folder}`,
    () => `chmod 711 /arch/x/file; chown 8 /arch/file`,
    () => `mkdir -p ${folder}/deep/er && rm -rf ${folder}/deep && ln -s /t ${folder}/deep`,
    () => `mv ${folder} /moved; mkdir -p ${folder}`,
    () => `cat /run/secrets/given /ctx/secret > ${a}; echo "$SECRET" > ${b}`,
    () => `echo more >> /etc/passwd`,
    () => `rm /etc/group`,
    () => `echo x > /etc/hosts.mine; echo ${random.below(9)} > ${a}`,
    () => `pwd > ${a}; id >> ${a}; umask >> ${a}; env | sort >> ${a}`,
    () => `ls -A / /ctx /other /cache /scratch > ${a} 2>&1`,
    () => `rm -rf /home /mnt /srv`,
    () => `echo y > /cache/y; echo z > /scratch/z; echo w > /ctx/w`,
    () => `: > ${folder}/.wh.fake`,
  ])();
  return `(${text}) 2>/dev/null || true`;
};
