import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { mustRun, runProgram } from '../../base/host/process.ts';
import { encodeEdits, encodeFiles, encodeMachine, encodeNames, encodeProcess, encodeSimple } from '../../guest/protocol/encode.ts';
import { encodeFrame, encodeHello } from '../../guest/protocol/protocol.ts';
import { FLAG_MORE, FRAME } from '../../guest/protocol/tags.ts';
import { randomNumbers, SEED, times } from '../support/seed.ts';
import { machineConfig, processSpec } from './host-agent.ts';

// Everything in the agent that parses bytes, under the address and undefined-behaviour sanitizers, with mutations of valid inputs.

const AGENT = fileURLToPath(new URL('../../guest/agent/', import.meta.url));
const FUZZER = fileURLToPath(new URL('fuzz_frames.c', import.meta.url));
/** All of the agent that parses bytes, and what that is made of. */
const PARSERS = [
  'lib/arena.c',
  'lib/wire.c',
  'fs/tar_header.c',
  'dns/dns_message.c',
  'requests/decode.c',
  'requests/edits.c',
  'requests/machine_config.c',
  'requests/process_spec.c',
  'requests/simple_request.c',
];
const ROUNDS = times(12_000);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-fuzz-'));
  await mkdir(folder, { recursive: true });
  const sources = [FUZZER, ...PARSERS.map((name) => join(AGENT, name))];
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-g', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  await mustRun('gcc', [...flags, '-I', AGENT, ...sources, '-o', join(folder, 'fuzz')]);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const PARSER = { frames: 0, config: 1, tar: 2, dns: 3 };

const seeds = (): Array<[number, Buffer]> => {
  const machine = encodeMachine(
    machineConfig({
      mounts: [
        { kind: 'disk', disk: 'vol0', target: '/data', readOnly: false, subpath: 'a/b', seed: true },
        { kind: 'share', tag: 'share1', target: '/f', readOnly: true, file: 'f', seed: false },
        { kind: 'share', tag: 'share2', target: '/g', readOnly: false, seed: false, synced: true },
        { kind: 'tmpfs', target: '/run', readOnly: false, size: 1, mode: 0o755 },
      ],
      nics: [
        {
          ...{ mac: '02:00:00:00:00:01', name: 'eth0', address: '10.0.0.2', prefix: 24, gateway: '10.0.0.1', mtu: 1500 },
          ipv6: { address: 'fd00::2', prefix: 64, gateway: 'fd00::1' },
        },
      ],
      resolver: {
        names: { db: ['10.0.0.3', 'fd00::3', '10.0.0.4'] },
        search: ['shop.hypr'],
        upstreams: ['10.0.0.1'],
        options: ['ndots:0'],
      },
      hosts: [{ address: '10.0.0.2', names: ['web', 'web.local'] }],
      files: [{ path: '/s', content: Buffer.from('x'), mode: 0o400, uid: 1, gid: 2 }],
      sysctls: { 'net.core.somaxconn': '512' },
    }),
  );
  const program = encodeProcess(
    processSpec(['sh', '-c', 'x'], { tty: true, size: { columns: 1, rows: 2 }, limits: { nofile: { soft: 1, hard: -1 } } }),
  );
  const mounted = encodeProcess(
    processSpec(['x'], {
      isolated: true,
      mounts: [
        { kind: 'cache', target: '/c', disk: 'c1', readOnly: false, mode: 0o700, uid: 1, gid: 2, seed: { staged: 'a', path: '/b' } },
        { kind: 'bind', target: '/b', content: { disk: 'i1', path: '/usr' }, readOnly: true },
        { kind: 'tmpfs', target: '/t', size: 4096 },
        { kind: 'file', target: '/run/secrets/s', content: Buffer.from('hush'), mode: 0o400, uid: 0, gid: 0 },
        { kind: 'socket', target: '/s', name: 'ssh0' },
      ],
    }),
  );
  const order = (body: Buffer) => Buffer.concat([Buffer.from([1, 0]), body]);
  const frames = Buffer.concat([
    encodeHello(Buffer.alloc(16, 3)).subarray(-80),
    encodeFrame({ type: FRAME.request, channel: 1, flags: FLAG_MORE, payload: order(machine) }),
    encodeFrame({ type: FRAME.request, channel: 1, payload: order(program) }),
    encodeFrame({ type: FRAME.data, channel: 1, payload: Buffer.from('stdin') }),
    encodeFrame({ type: FRAME.window, channel: 1, flags: 1, payload: Buffer.alloc(16, 1) }),
  ]);
  const header = Buffer.alloc(512);
  header.write('dir/sub/../name', 0);
  header.write('0000644\0', 100);
  header.write('0001750\0', 108);
  header.write('0001750\0', 116);
  header.write('00000000010\0', 124);
  header.write('14000000000\0', 136);
  header.write('0link', 156);
  header.write('ustar\u000000', 257);
  header.write('prefix', 345);
  const query = Buffer.from('123401000001000000000000026462047368 6f700468797072 0000010001'.replaceAll(' ', ''), 'hex');
  return [
    [PARSER.frames, frames],
    [PARSER.config, machine],
    [PARSER.config, program],
    [PARSER.config, mounted],
    [PARSER.config, encodeNames({ a: ['1.2.3.4'] })],
    [PARSER.config, encodeFiles([{ path: '/x', content: Buffer.alloc(9), mode: 1, uid: 1, gid: 1 }])],
    [PARSER.config, encodeEdits({ share: 'share0', written: ['a/b'], appeared: ['c'], gone: ['d', ''], folders: [''] })],
    [PARSER.config, encodeSimple({ signal: 9, grace: 1, flush: 60_000 })],
    [PARSER.config, encodeSimple({ channel: 1, signal: 9, path: '/x', flag: true })],
    [PARSER.tar, header],
    [PARSER.tar, Buffer.from('30 mtime=1700000000.123456789\n13 path=a/b\n19 SCHILY.xattr.a=b\n12 size=99\n')],
    [PARSER.dns, query],
    [PARSER.dns, Buffer.from('123401000001000000000000013101320133013407696e2d6164647204617270610000 0c0001'.replaceAll(' ', ''), 'hex')],
  ];
};

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x2e, 0x2f, 0x3d, 0xa5];

const mutate = (bytes: Buffer, next: () => number): Buffer => {
  let out = Buffer.from(bytes);
  for (let times = 1 + Math.floor(next() * 4); times > 0 && out.length > 0; times--) {
    const at = Math.floor(next() * out.length);
    const length = Math.floor(next() * Math.min(32, out.length - at));
    switch (Math.floor(next() * 5)) {
      case 0:
        out[at] = Math.floor(next() * 256);
        break;
      case 1:
        out[at] = INTERESTING[Math.floor(next() * INTERESTING.length)] ?? 0;
        break;
      case 2:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at + length)]);
        break;
      case 3:
        out = Buffer.concat([out.subarray(0, at), out.subarray(at, at + length), out.subarray(at)]);
        break;
      default:
        out = out.subarray(0, at);
    }
  }
  return out.subarray(0, 60_000);
};

const record = (parser: number, bytes: Buffer): Buffer => {
  const head = Buffer.alloc(3);
  head.writeUInt16LE(bytes.length + 1);
  head[2] = parser;
  return Buffer.concat([head, bytes]);
};

it('no input makes the parsers touch what is not theirs', async () => {
  const next = randomNumbers(SEED);
  const corpus = seeds();
  const valid = join(folder, 'valid');
  await writeFile(valid, Buffer.concat(corpus.map(([parser, bytes]) => record(parser, bytes))));
  // The seeds must get through, or the mutations would test only the first check.
  expect(Number((await mustRun(join(folder, 'fuzz'), [valid])).stdout)).toBeGreaterThan(400);
  const input = join(folder, 'input');
  const records = Array.from({ length: ROUNDS }, () => {
    const [parser, bytes] = corpus[Math.floor(next() * corpus.length)] ?? [0, Buffer.alloc(0)];
    return record(parser, mutate(bytes, next));
  });
  await writeFile(input, Buffer.concat(records));
  const result = await runProgram(join(folder, 'fuzz'), [input]);
  expect(result.stderr).toBe('');
  expect(result.code).toBe(0);
});
