import { gunzipSync, zstdCompressSync } from 'node:zlib';
import { END_MARK } from '../../../base/tar/block.ts';
import { encodeHeader, PLAIN_FILE } from '../../../base/tar/header.ts';
import type { BuildCase } from './generate.ts';
import type { ContextItem } from './write-context.ts';

/** One archive, compressed in three ways: a folder with owners, a setuid file, a hard link, a link, a FIFO and a user attribute. */
const GZIP =
  'H4sIAAAAAAACA+2XPWvDMBCGNedX6BdIp7M+pkKhSwodCp06ikYhAdcGWQH131fOByFJO8op9T3LWWjwcPfeqzdLVh0AQGdgrAV3qOp03sPANd' +
  'oabfbfYNE2jBs2Absh+Vh+yeZJluttG6r3XztjxqqOc6DO83CchYv+O1WuOVD/q/PRdyl0acGIWSKkkI+vPi+DX4VYTf+HHf9zLdvhygsUYLEJ' +
  'nkn/1WmQvz0tn1/eRfYpRbEbQhRdn8LDJrRtT3vh3/v/2Pbq/g9W69/1D+rG/zWS/0+BJwnMXP/D1ye7t/6v3v8KGiz5D4WQ1fPJ7PPfxsfVnf' +
  'Pfbf/RWMbVFOGU8v923f8x/Rf/x5L/Lfk/QRBENb4B1Tg1BAAYAAA=';
const BZIP2 =
  'QlpoOTFBWSZTWVbYKeYAATjfgvuQQAH/gkhkWLlvZ55gAAIKiDABDGwMiRqG1PU9QBoAAyZNANNBlRozRBBpiaaAMQDQACRRIBpoAAAAAACrol' +
  'SzJ2h6wDLmsYCgwhCvVXgknNE2ULovkouLQUBBjG2yUYXmMwwgNVBKVoCCQW/ERTN/bWOsbrkRpPIVEq1JlivBSCgxIlSYJRExI3nCQ3MEcZCc' +
  'lFJhQG2qTURaM2iRYEwmmwwdAp6t6J/6pAULUWcQLQWByhChCAsBfDlrYqQsBZwQgRXAIhvlo6SzTzvgnVADkduJ8PdS3fN6NuFxafjgPad/YD' +
  'DCSudlLY/n2N98lVWsAPjvEyK0NDqzQlaabLM704prc6DCAP4u5IpwoSCtsFPM';
const XZ =
  '/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Bf/ARNdADwLvBunjDQGEZEa4qpfmb8lmQwaKWNV7Xglcv2Od9mKsetbX8yLynpZ1/hK743zWgurqw' +
  'FdUhLgIVNMo73Cif5Ku+vM4E5DDi8Z11GiZNB3vCk3kMCsUanhuwGDEt9NhVuR5+dLvSKlKfuJ4oMkHXmOB5gzF13mLwy8HG4BA+GfAF5MXi2B' +
  'RCE5HVolFSbJzsXKm8KT7iOY5OkCapXo7NW9vy/DlQZAscxMeDz2du8GWN9cpGw9taPNG8VFddDHTSMUI/swVGiUabctO9cjVlY3/Unf0WLYBY' +
  '7d8QWH+R3M1uxo9Pbiud9UMtj0efRmPIjJ3FGWW9PjbNtzyDe7yT3W1OkM/BD1JarzTzDbZUR2/gsPAACHMTUzukxRbAABrwKAMAAALXftmLHE' +
  'Z/sCAAAAAARZWg==';

const TIME = 1_234_567_890;
const file = (path: string, text: string | Uint8Array = `${path}\n`, mode = 0o644): ContextItem => ({
  kind: 'file',
  path,
  text,
  mode,
  time: TIME,
});
const link = (path: string, target: string): ContextItem => ({ kind: 'symlink', path, target, time: TIME });
const bytes = (base64: string): Buffer => Buffer.from(base64, 'base64');
const tar = (): Buffer => gunzipSync(bytes(GZIP));

const TREE = [file('a'), file('d/b', 'b\n', 0o4755), file('d/e/c.md'), file('d/e/keep.md'), link('d/out', '../a')];

/** What random Dockerfiles do not reach: one feature each. */
const ODD: ReadonlyArray<readonly [name: string, dockerfile: string, more?: Partial<BuildCase>]> = [
  [
    'heredoc-run',
    'FROM BASE\nRUN <<A\nset -e\necho "$0" > /n; echo one > /o\nA\nRUN <<-EOF cat > /p\n\ttab\nEOF\nRUN <<X cat > /q && <<Y cat >> /q\n1\nX\n2\nY',
  ],
  [
    'heredoc-script',
    'FROM BASE\nRUN <<EOF\n#!/bin/sh -e\necho "$# $*" > /shebang\nEOF\nCOPY <<one.txt <<"two.txt" /files/\n$HOME\none.txt\n$HOME\ntwo.txt',
  ],
  ['heredoc-arg', 'FROM BASE\nARG A=x\nCOPY <<EOF /$A/f-$A\n$A ${A:+set} ${B:-unset} \\$A\nEOF'],
  [
    'mount-bind',
    'FROM BASE\nRUN --mount=type=bind,target=/ctx find /ctx -type f | sort > /list\nRUN --mount=type=bind,source=d,target=/m,rw sh -c "echo x > /m/new; ls /m > /seen"',
    { context: TREE },
  ],
  [
    'mount-from',
    'FROM BASE AS s\nRUN mkdir /made && echo m > /made/f\nFROM BASE\nRUN --mount=from=s,source=/made,target=/mnt/deep/er cat /mnt/deep/er/f > /got\nRUN ls -d /mnt* > /left || true',
  ],
  [
    'mount-tmpfs',
    'FROM BASE\nRUN --mount=type=tmpfs,target=/etc/t sh -c "echo x > /etc/t/x"\nRUN --mount=type=tmpfs,target=/tmp,size=1m df -k /tmp | tail -1 | tr -s " " | cut -d" " -f2 > /size',
  ],
  [
    'mount-cache',
    'FROM BASE\nRUN --mount=type=cache,target=/c,uid=7,gid=8,mode=0750 stat -c "%u %g %a" /c > /s\nRUN --mount=type=cache,target=/c2,from=sub,source=/x cat /c2/f > /f\nFROM BASE AS sub\nCOPY <<E /x/f\nseed\nE',
  ],
  [
    'mount-secret',
    'FROM BASE\nRUN --mount=type=secret,id=none sh -c "ls -d /run/secrets* || echo no" > /r\nRUN --mount=type=secret,id=none,required=true true',
  ],
  [
    'mount-over',
    'FROM BASE\nRUN --mount=type=bind,source=a,target=/etc/passwd wc -l < /etc/passwd > /n\nRUN wc -l < /etc/passwd > /m',
    { context: TREE },
  ],
  [
    'add-tar',
    'FROM BASE\nADD p.tar /plain/\nADD p.tar.gz /gz\nADD p.txz /xz/\nADD p.tar.bz2 /bz2/\nADD named.txt /txt/',
    { context: archives() },
  ],
  [
    'add-tar-flags',
    'FROM BASE\nADD --chown=5:6 p.tar /own/\nADD --chmod=700 p.tar.gz /mode/\nCOPY p.tar.gz /copied/',
    { context: archives() },
  ],
  [
    'capabilities',
    'FROM BASE AS s\nADD caps.tar /tar/\nRUN mv /tar/cap /moved && ln /moved /twin && cp -a /moved /copied\nFROM BASE\nADD caps.tar /own/\nCOPY --from=s /moved /copied /to/\nCOPY --from=s --chown=5:6 /moved /owned\nCOPY --from=s --chmod=700 /moved /mode',
    { context: [file('caps.tar', capabilities())] },
  ],
  ['add-zstd', 'FROM BASE\nADD p.tar.zst /zst/', { context: [file('p.tar.zst', zstdCompressSync(tar()))] }],
  [
    'add-not-tar',
    'FROM BASE\nADD fake.tar.gz /x/\nADD empty.tar /y/',
    { context: [file('fake.tar.gz', 'no archive\n'), file('empty.tar', '')] },
  ],
  [
    'add-tar-over',
    'FROM BASE\nRUN mkdir -p /t/x && echo old > /t/x/file && ln -s x /t/y && ln /t/x/file /t/other\nADD p.tar /t/\nADD p.tar /t/y/',
    { context: archives() },
  ],
  ['chmod-octal', 'FROM BASE\nCOPY --chmod=1777 d /a/\nCOPY --chmod=07 a /b\nCOPY --chmod=6755 a d/b /c/', { context: TREE }],
  ['chmod-wrong', 'FROM BASE\nCOPY --chmod=u+x a /b', { context: TREE }],
  ['parents', 'FROM BASE\nCOPY --parents d/e/c.md /p/', { context: TREE }],
  ['exclude', 'FROM BASE\nCOPY --exclude=*.md d /p/', { context: TREE }],
  [
    'arg-scopes',
    'ARG G=g\nARG H\nFROM BASE AS one\nARG G\nARG L=$G-l\nENV E=$L\nFROM one AS two\nRUN echo "$G|$L|$E|$H" > /v\nARG G=again\nARG H=h\nRUN echo "$G|$L|$E|$H" > /w',
    { args: ['--build-arg', 'L=given'] },
  ],
  [
    'arg-platform',
    'FROM BASE\nARG TARGETPLATFORM TARGETARCH TARGETVARIANT=none BUILDOS\nRUN echo "$TARGETPLATFORM $TARGETARCH $TARGETVARIANT $BUILDOS $BUILDARCH" > /v',
  ],
  [
    'arg-forms',
    "FROM BASE\nARG A=abcabc\nENV B=${A#a} C=${A%%b*} D=${A/b/x} E=${A//b/x} F=${A:-n} G=${Z:+n} H=${Z-dash}\nENV I=\"${A} '${A}'\" J='$A'",
  ],
  ['arg-required', 'FROM BASE\nARG A\nENV B=${A:?must be set}'],
  [
    'onbuild',
    'FROM BASE AS b\nONBUILD ARG X=1\nONBUILD RUN echo $X > /ob\nONBUILD COPY a /ob-a\nFROM b\nRUN cat /ob > /seen',
    { context: TREE },
  ],
  ['shell', 'FROM BASE\nSHELL ["/bin/sh", "-euc"]\nRUN echo "$-" > /flags\nCMD echo hi\nENTRYPOINT run it\nHEALTHCHECK CMD check it'],
  ['stopsignal', 'FROM BASE\nARG S=USR1\nSTOPSIGNAL SIG$S\nHEALTHCHECK --start-interval=3s --interval=1h --retries=0 CMD true'],
  ['healthcheck-wrong', 'FROM BASE\nHEALTHCHECK --interval=1us CMD true'],
  [
    'from-links',
    'FROM BASE AS s\nRUN mkdir -p /r/d && echo f > /r/d/f && ln -s d /r/l && ln -s /r/d /r/abs && ln -s nowhere /r/dead\nFROM BASE\nCOPY --from=s /r/l /one\nCOPY --from=s /r/l/ /two/\nCOPY --from=s /r/abs/f /three\nCOPY --from=s /r /four',
  ],
  [
    'links-across',
    'FROM BASE\nRUN mkdir /real && ln -s /real /way && ln -s ../../etc /up\nCOPY a /way/\nCOPY a /way/new/x\nCOPY a /up/from-up\nWORKDIR /way/w\nCOPY a .',
    { context: TREE },
  ],
  [
    'setuid',
    'FROM BASE\nRUN cp /bin/busybox /s && chmod 6755 /s && mkdir -m 3777 /t && chown 3:4 /s\nFROM BASE\nCOPY --from=0 /s /t /to/\nCOPY --from=0 --chown=9 /s /own',
  ],
  [
    'whiteouts',
    'FROM BASE\nRUN mkdir -p /w/a/b /w/c && touch /w/a/1 /w/a/b/2 /w/c/3\nRUN rm -r /w/a && mkdir /w/a && touch /w/a/new && rm /w/c/3\nRUN rm -r /w/c && touch /w/c && mv /w/a /w/z && ln -s z /w/a\nRUN rm /w/a && mkdir -p /w/a/b',
  ],
  [
    'hardlinks',
    'FROM BASE\nRUN mkdir /h && echo x > /h/1 && ln /h/1 /h/2 && ln -s 1 /h/s && ln /h/s /h/t\nRUN chmod 600 /h/2\nFROM BASE\nCOPY --from=0 /h /h\nCOPY --from=0 /h/1 /h/2 /g/',
  ],
  ['special-files', 'FROM BASE\nRUN mkfifo -m 640 /fifo && mknod /chr c 1 3 && mknod /blk b 7 9\nFROM BASE\nCOPY --from=0 /fifo /chr /to/'],
  ['times', 'FROM BASE\nRUN touch -d "2001-02-03 04:05:06" /t && mkdir /td && touch -d "1999-01-01 00:00:00" /td'],
  [
    'ignore-negation',
    'FROM BASE\nCOPY . /c/',
    { context: [...TREE, file('d/e/.x'), file('.git/config')], ignore: '# all but\n*\n!d\nd/e/*.md\n!d/e/keep.md\n.git\n!**/.x\n' },
  ],
  [
    'ignore-forms',
    'FROM BASE\nCOPY . /c/',
    { context: [...TREE, file('x[1]'), file('y.tmp'), file('d/y.tmp')], ignore: '/a\n./d/b\n **/*.tmp \nx[[]1]\nDockerfile\n' },
  ],
  [
    'user-workdir',
    'FROM BASE\nUSER 12:34\nWORKDIR /made/by\nRUN id -u > /tmp/u; id -g >> /tmp/u; pwd >> /tmp/u; echo $HOME >> /tmp/u\nCOPY a .\nUSER daemon\nRUN id > /tmp/id',
    { context: TREE },
  ],
  ['escape', '# escape=`\nFROM BASE\nENV A=b`\n  C=d\nRUN echo a\\b `\n  > /e'],
];

function archives(): ContextItem[] {
  return [
    file('p.tar', tar()),
    file('p.tar.gz', bytes(GZIP)),
    file('p.txz', bytes(XZ)),
    file('p.tar.bz2', bytes(BZIP2)),
    // The content counts, not the name.
    file('named.txt', bytes(GZIP)),
  ];
}

/** A tar with one file that has a capability and a user attribute. */
function capabilities(): Buffer {
  const xattrs = new Map([
    ['security.capability', Buffer.from('0100000200040000000000000000000000000000', 'hex')],
    ['user.note', Buffer.from('n')],
  ]);
  return Buffer.concat([encodeHeader({ ...PLAIN_FILE, name: 'cap', mode: 0o755, mtime: TIME, size: 0, xattrs }), END_MARK]);
}

/** All of them, in order. */
export const oddCases = (base: string): BuildCase[] =>
  ODD.map(([name, dockerfile, more]) => ({
    name: `odd-${name}`,
    context: [],
    ignore: '',
    args: [],
    ...more,
    dockerfile: `${dockerfile.replaceAll('FROM BASE', `FROM ${base}`)}\n`,
  }));
