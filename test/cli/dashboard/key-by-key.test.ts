import { describe, expect, test } from 'vitest';
import { keyByKey } from '../../../cli/dashboard/screen/key-by-key.ts';
import { FakeInput } from '../support/fake-context.ts';

const input = (text: string) => {
  const stream = new FakeInput();
  stream.setEncoding('utf8');
  stream.write(text);
  return { stream, keys: keyByKey(stream as unknown as NodeJS.ReadStream) };
};

const readAll = (stdin: NodeJS.ReadStream): unknown[] => {
  const all: unknown[] = [];
  for (let key = stdin.read(); key !== null; key = stdin.read()) {
    all.push(key);
  }
  return all;
};

describe('what was typed in one piece', () => {
  test('comes key by key: characters, arrows, Alt, an Escape that stands alone', () => {
    const { keys } = input('eé😀\r\u001b[A\u001bOB\u001b[1;5Cj\u001bx\u001b');
    expect(readAll(keys.stdin)).toEqual(['e', 'é', '😀', '\r', '\u001b[A', '\u001bOB', '\u001b[1;5C', 'j', '\u001bx', '\u001b']);
  });

  test('a paste stays whole, also where it comes in two pieces', () => {
    const { keys, stream } = input('/\u001b[200~one\u001b[A');
    expect(readAll(keys.stdin)).toEqual(['/', '\u001b[200~one\u001b[A']);
    stream.write('two\u001b[201~q');
    expect(readAll(keys.stdin)).toEqual(['two\u001b[201~', 'q']);
  });

  test('once it is closed the rest is for whoever reads next, and nothing more is read here', () => {
    const { keys, stream } = input('els\r');
    expect(keys.stdin.read()).toBe('e');
    keys.close();
    expect(keys.stdin.read()).toBeNull();
    expect(stream.read()).toBe('ls\r');
  });
});
