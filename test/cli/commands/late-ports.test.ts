import { expect, test } from 'vitest';
import { takeLatePorts } from '../../../cli/commands/late-ports.ts';

test.each<[string, string[], string]>([
  ['-p 8080:80', ['8080:80'], ''],
  [
    '-p8080:80 --publish 127.0.0.1:53:53/udp --publish=[::1]:8000-8002:80-82 nginx -g x',
    ['8080:80', '127.0.0.1:53:53/udp', '[::1]:8000-8002:80-82'],
    'nginx -g x',
  ],
  // A port without one of the host, a flag of a program, a mapping that is not the first: the program's own.
  ['-p 80', [], '-p 80'],
  ['-p', [], '-p'],
  ['8080:80', [], '8080:80'],
  ['sh -p 8080:80', [], 'sh -p 8080:80'],
  ['-p 8080:80 --password x', ['8080:80'], '--password x'],
  ['-- -p 8080:80', [], '-p 8080:80'],
  ['-p 1:2 -- -p 8080:80', ['1:2'], '-p 8080:80'],
  ['-- sh', [], '-- sh'],
  ['', [], ''],
])('run IMAGE %s', (line, ports, command) => {
  expect(takeLatePorts(line === '' ? [] : line.split(' '))).toEqual({ ports, command: command === '' ? [] : command.split(' ') });
});
