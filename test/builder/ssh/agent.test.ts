import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { SshForward } from '../../../builder/model/types.ts';
import { serveAgent } from '../../../builder/ssh/agent.ts';
import { readKeys } from '../../../builder/ssh/keys.ts';
import { mpint, readString, string, u32 } from '../../../builder/ssh/wire.ts';

import { runs } from '../../support/seed.ts';

const folder = mkdtempSync(join(tmpdir(), 'hypr-ssh-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const pairs = {
  ed25519: generateKeyPairSync('ed25519'),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ecdsa: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};
const save = (name: string, text: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const files = Object.entries(pairs).map(([name, { privateKey }]) => save(name, pem(privateKey)));

/** Writes bytes to an agent and gives all that it answers. */
const converse = async (input: Buffer, forward: SshForward): Promise<Buffer> => {
  const connection = new (class extends PassThrough {
    readonly answers: Buffer[] = [];
    override write(chunk: unknown): boolean {
      this.answers.push(chunk as Buffer);
      return true;
    }
    feed(): void {
      super.push(input);
      super.push(null);
    }
  })();
  connection.feed();
  await serveAgent(connection, forward);
  return Buffer.concat(connection.answers);
};
const ask = (message: Buffer, forward: SshForward = { keys: files }) => converse(string(message), forward);

describe('an SSH agent for builds', () => {
  it('lists keys and signs with each kind, so that the public key agrees', async () => {
    const list = await ask(Buffer.from([11]));
    expect([list[4], list.readUInt32BE(5)]).toEqual([12, 3]);
    const keys = await readKeys(files);
    for (const [index, [name, hash]] of (
      [
        ['ed25519', null],
        ['rsa', 'sha512'],
        ['ecdsa', 'sha256'],
      ] as const
    ).entries()) {
      const blob = keys[index]?.blob ?? Buffer.alloc(0);
      const data = Buffer.from('what is signed');
      const answer = await ask(Buffer.concat([Buffer.from([13]), string(blob), string(data), u32(4)]));
      expect(answer[4], name).toBe(14);
      const inner = readString(answer, 5).value;
      const type = readString(inner, 0);
      const signature = readString(inner, type.end).value;
      const key = createPublicKey(pairs[name].publicKey.export({ type: 'spki', format: 'pem' }).toString());
      const raw = name === 'ecdsa' ? fixed(signature) : signature;
      expect(verify(hash, data, name === 'ecdsa' ? { key, dsaEncoding: 'ieee-p1363' } : key, raw), name).toBe(true);
    }
  });

  it('does nothing else: no adding, removing, locking, and no key that is not its own', async () => {
    for (const type of [1, 9, 17, 18, 19, 22, 25, 27, 200]) {
      expect(await ask(Buffer.from([type])), String(type)).toEqual(Buffer.from([0, 0, 0, 1, 5]));
    }
    const stranger = Buffer.concat([Buffer.from([13]), string(Buffer.from('nobody')), string(Buffer.from('x')), u32(0)]);
    expect((await ask(stranger))[4]).toBe(5);
  });

  it("passes on to the host's agent only what may be asked", async () => {
    const heard: number[] = [];
    const socket = join(folder, 'agent.sock');
    const server = createServer((client) => {
      client.on('data', (data) => {
        heard.push(data[4] ?? 0);
        client.write(string(Buffer.from([12, 0, 0, 0, 0])));
      });
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const answers = await converse(Buffer.concat([string(Buffer.from([19])), string(Buffer.from([11]))]), { socket });
    server.close();
    expect(heard).toEqual([11]);
    expect(answers).toEqual(Buffer.concat([string(Buffer.from([5])), string(Buffer.from([12, 0, 0, 0, 0]))]));
  });

  it('refuses keys that it cannot use, with what to do', async () => {
    const { privateKey } = pairs.rsa;
    const locked = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' }).toString();
    await expect(readKeys([save('locked', locked)])).rejects.toMatchObject({
      code: 'HYPR_USAGE',
      message: expect.stringContaining('passphrase'),
    });
    await expect(readKeys([save('none', 'hello')])).rejects.toMatchObject({ message: expect.stringContaining('not a private key') });
    await expect(readKeys([join(folder, 'gone')])).rejects.toMatchObject({ message: expect.stringContaining('cannot be read') });
  });

  it('survives whatever programs and key files hold', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, framed) => {
        const input = Buffer.from(bytes);
        await converse(framed ? string(Buffer.concat([Buffer.from([13]), input])) : input, { keys: files.slice(0, 1) });
        const body = Buffer.concat([Buffer.from('openssh-key-v1\0'), input]).toString('base64');
        const key = save('fuzzed', `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}\n-----END OPENSSH PRIVATE KEY-----\n`);
        await expect(readKeys([key])).rejects.toMatchObject({ code: 'HYPR_USAGE' });
      }),
      runs(60),
    );
  });
});

/** Two mpints as the fixed-size numbers that WebCrypto has. */
const fixed = (signature: Buffer): Buffer => {
  const r = readString(signature, 0);
  const s = readString(signature, r.end);
  const pad = (value: Buffer) => Buffer.concat([Buffer.alloc(32), value]).subarray(-32);
  expect(mpint(pad(r.value))).toEqual(string(r.value));
  return Buffer.concat([pad(r.value), pad(s.value)]);
};
