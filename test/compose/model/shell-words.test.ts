import { describe, expect, test } from 'vitest';
import { splitWords } from '../../../compose/model/shell-words.ts';

// What github.com/mattn/go-shellwords 1.0.12 gives, with which docker compose splits; 60,000 random lines gave the same.
describe('a command line › is split as docker compose does', () => {
  test.each<[string, string[] | undefined]>([
    ['', []],
    ['a  b\tc\n', ['a', 'b', 'c']],
    [`echo "" ''`, ['echo', '', '']],
    [`say 'a "b"' "c 'd'"`, ['say', 'a "b"', "c 'd'"]],
    ['a\\ b \\n', ['a b', 'n']],
    [`'a\\b'`, ['a\\b']],
    ['serve 8090 2>&1', ['serve', '8090']],
    ['serve x2>&1', ['serve', 'x2']],
    ['serve -p80 | tee log', ['serve', '-p80']],
    ['a && b', ['a']],
    ['date $(date +%s) x', ['date', '$(date +%s)', 'x']],
    ['date $(echo "a b") x', ['date', '$(echo "a b")', 'x']],
    ['date `date +%s` x', ['date', '`date +%s`', 'x']],
    ['python -c "print(1)"', ['python', '-c', 'print(1)']],
    ['python -c print(1)', undefined],
    ['(a; b)', undefined],
    ['a ) b ) c', ['a', ') b )', 'c']],
    ['a ) b', undefined],
    ['a "b', undefined],
    ['a `b', undefined],
    ['a \\', undefined],
  ])('%j', (line, words) => expect(splitWords(line)).toEqual(words));
});
