import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Decompressors, decompressLayer, findDecompressors } from '../../../builder/registry/transport/decompress.ts';
import { needs } from '../../support/needs.ts';
import { inPieces } from '../layers/tar-builder.ts';
import { igzip as toolchainIgzip } from '../store/find-mkfs.ts';

const data = Buffer.concat([randomBytes(50_000), Buffer.alloc(500_000, 'text ')]);
const nowhere = { file: '/nowhere/ld.so', prefix: [], version: '', origin: 'path' } as const;
const found = findDecompressors(nowhere);
const { zstd } = found;
const anyIgzip = found.igzip ?? toolchainIgzip;

const decompress = async (blob: Buffer, piece = 5000): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of decompressLayer(inPieces(blob, piece), decompressors)) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

let decompressors = found;

// The same of both: zlib, and the faster program.
const blobs = (igzip: Decompressors['igzip']) => () => {
  beforeAll(() => {
    decompressors = { zstd, igzip };
  });
  test.each([1, 3, 5000])('plain, gzip, and gzip in several members, in pieces of %i', async (piece) => {
    const small = data.subarray(49_000, 52_000);
    expect((await decompress(small, piece)).equals(small)).toBe(true);
    expect((await decompress(gzipSync(small), piece)).equals(small)).toBe(true);
    expect((await decompress(Buffer.concat([gzipSync(small), gzipSync(small)]), piece)).length).toBe(6000);
  });
  test('empty', async () => {
    expect((await decompress(Buffer.alloc(0))).length).toBe(0);
  });
  test('damaged and cut gzip: IMAGE_LAYER', async () => {
    const blob = gzipSync(data);
    await expect(decompress(blob.subarray(0, 30_000))).rejects.toMatchObject({ code: 'IMAGE_LAYER' });
    blob.fill(0xff, 20_000, 20_100);
    await expect(decompress(blob)).rejects.toMatchObject({ code: 'IMAGE_LAYER' });
  });
  test('an error of the source comes through', async () => {
    const failing = (async function* () {
      yield gzipSync(data).subarray(0, 10_000);
      throw new Error('broken off');
    })();
    await expect(
      (async () => {
        for await (const _ of decompressLayer(failing, decompressors)) {
          // drained
        }
      })(),
    ).rejects.toThrow('broken off');
  });
  test('stopping early lets go of the source', async () => {
    let closed = false;
    const source = (async function* () {
      try {
        for (;;) {
          yield gzipSync(data);
        }
      } finally {
        closed = true;
      }
    })();
    for await (const _ of decompressLayer(source, decompressors)) {
      break;
    }
    expect(closed).toBe(true);
  });
  needs(zstd === undefined && 'no zstd; install zstd').it('zstd, whole and cut', async () => {
    const blob = spawnSync('zstd', ['-c', '-q'], { input: data, maxBuffer: 1 << 26 }).stdout;
    expect((await decompress(blob)).equals(data)).toBe(true);
    await expect(decompress(blob.subarray(0, blob.length - 100))).rejects.toMatchObject({ code: 'IMAGE_LAYER' });
  });
  test('zstd without a program says what to install', async () => {
    const run = async () => {
      for await (const _ of decompressLayer(inPieces(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0])), { zstd: undefined, igzip: undefined })) {
        // nothing
      }
    };
    await expect(run()).rejects.toMatchObject({ code: 'TOOLCHAIN_MISSING' });
  });
};

describe('layer blobs, by zlib', blobs(undefined));
needs(anyIgzip === undefined && 'no igzip (package isal)').describe('layer blobs, by igzip', blobs(anyIgzip));
