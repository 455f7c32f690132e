import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { compileTemplate } from '../../../cli/format/go-template.ts';
import { LogFormatter } from '../../../cli/format/logs.ts';
import { formatListing } from '../../../cli/format/output.ts';
import { formatPorts } from '../../../cli/format/ports.ts';
import { ellipsis } from '../../../cli/format/replica.ts';
import { formatSummary } from '../../../cli/format/summary.ts';
import { COMPOSE_TABLE, formatTable, TOP_TABLE } from '../../../cli/format/table.ts';
import { parseMoment } from '../../../cli/format/time.ts';
import { binarySize, humanDuration, humanSize } from '../../../cli/format/units.ts';
import { imageRepository } from '../../../engine/docker/shapes/names.ts';
import { formatStatus, joinCommand } from '../../../engine/docker/shapes/status.ts';
import { runs } from '../../support/seed.ts';
import { log, NOW, replica } from '../support/fake-engine.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

test.each([
  [0, 'Less than a second'],
  [1 * SECOND, '1 second'],
  [59 * SECOND, '59 seconds'],
  [60 * SECOND, 'About a minute'],
  [119 * SECOND, 'About a minute'],
  [120 * SECOND, '2 minutes'],
  [HOUR, 'About an hour'],
  [1.6 * HOUR, '2 hours'],
  [47 * HOUR, '47 hours'],
  [2 * DAY, '2 days'],
  [13 * DAY, '13 days'],
  [14 * DAY, '2 weeks'],
  [59 * DAY, '8 weeks'],
  [60 * DAY, '2 months'],
  [729 * DAY, '24 months'],
  [730 * DAY, '2 years'],
])('%i ms are "%s"', (ms, words) => {
  expect(humanDuration(ms)).toBe(words);
});

test.each([
  [0, '0B', '0B'],
  [999, '999B', '999B'],
  [1024, '1.02kB', '1KiB'],
  [17_123_456, '17.1MB', '16.33MiB'],
  [187_654_321, '188MB', '179MiB'],
  [2_000_000_000, '2GB', '1.863GiB'],
])('%i bytes are %s and %s', (bytes, decimal, binary) => {
  expect(humanSize(bytes)).toBe(decimal);
  expect(binarySize(bytes)).toBe(binary);
});

test('tables are as wide as their cells, at least as wide as their columns', () => {
  const rows = [
    ['A', 'LONG HEADING', 'C'],
    ['a long cell', 'b', 'ü'],
  ];
  expect(formatTable(rows)).toBe('A             LONG HEADING   C\na long cell   b              ü\n');
  expect(formatTable([['NAME', 'STATUS']], COMPOSE_TABLE)).toBe('NAME                STATUS\n');
  expect(formatTable([['#', 'CMD']], TOP_TABLE)).toBe('#   CMD\n');
});

test.each([
  [[[80, 8080]], [], '127.0.0.1:8080->80/tcp'],
  [
    [
      [80, 80],
      [81, 81],
      [82, 82],
    ],
    [],
    '127.0.0.1:80-82->80-82/tcp',
  ],
  [[[80, 8080]], ['80/tcp', '443/tcp'], '443/tcp, 127.0.0.1:8080->80/tcp'],
  [[], ['53/udp', '9000-9002/tcp'], '53/udp, 9000-9002/tcp'],
] as const)('ports %j and exposed %j', (ports, exposed, text) => {
  const published = ports.map(([port, hostPort]) => ({ protocol: 'tcp' as const, hostAddress: '127.0.0.1', hostPort, port }));
  expect(formatPorts({ ports: published, exposed })).toBe(text);
});

test('IPv6 addresses are in brackets', () => {
  const port = { protocol: 'udp', hostAddress: '::1', hostPort: 53, port: 5353 } as const;
  expect(formatPorts({ ports: [port], exposed: [] })).toBe('[::1]:53->5353/udp');
});

test.each([
  [{ state: 'running' }, 'Up 2 seconds'],
  [{ state: 'running', health: 'starting' }, 'Up 2 seconds (health: starting)'],
  [{ state: 'running', health: 'unhealthy' }, 'Up 2 seconds (unhealthy)'],
  [{ state: 'paused' }, 'Up 2 seconds (Paused)'],
  [{ state: 'exited', exitCode: 137, finishedAt: NOW - 90_000 }, 'Exited (137) About a minute ago'],
  [{ state: 'restarting', exitCode: 1, finishedAt: NOW - 1000 }, 'Restarting (1) 1 second ago'],
  [{ state: 'created' }, 'Created'],
  [{ state: 'dead' }, 'Dead'],
] as const)('status of %j', (part, text) => {
  expect(formatStatus(replica({ service: 'web', ...part }), NOW)).toBe(text);
});

test('names, commands and references', () => {
  expect(ellipsis('abcdef', 6)).toBe('abcdef');
  expect(ellipsis('abcdefg', 6)).toBe('abcde…');
  expect(joinCommand(['sh', '-c', 'echo a b'])).toBe("sh -c 'echo a b'");
  expect(imageRepository('docker.io/library/nginx:1.26')).toEqual({ repository: 'nginx', tag: '1.26' });
  expect(imageRepository('docker.io/acme/app:1')).toEqual({ repository: 'acme/app', tag: '1' });
  expect(imageRepository('localhost:5000/app')).toEqual({ repository: 'localhost:5000/app', tag: 'latest' });
  expect(imageRepository('ghcr.io/a/b:2@sha256:00')).toEqual({ repository: 'ghcr.io/a/b', tag: '2' });
});

describe('moments', () => {
  test('a duration before now, and what else base/moment.ts reads', () => {
    expect(parseMoment('10m', { flag: 'since', now: NOW })).toBe(NOW - 600_000);
    expect(parseMoment('0', { flag: 'since', now: NOW })).toBe(0);
  });

  test('anything else is an error that names the flag', () => {
    expect(() => parseMoment('yesterday', { flag: 'since', now: NOW })).toThrow('--since does not understand "yesterday"');
  });
});

describe('templates', () => {
  const data = { Name: 'web', Labels: 'a=1,b=2', List: ['x', 'y'], Publishers: [{ URL: 'u', PublishedPort: 80 }], Health: '', Count: 3 };

  test.each([
    ['{{.Name}}', 'web'],
    ['{{ .Name }}:{{.Count}}', 'web:3'],
    ['{{json .List}}', '["x","y"]'],
    ['{{.List}}', '[x y]'],
    ['{{join .List ", "}}', 'x, y'],
    ['{{.Name | upper | printf "%-5s|"}}', 'WEB  |'],
    ['{{range .Publishers}}{{.URL}}={{.PublishedPort}};{{end}}', 'u=80;'],
    ['{{range $.List}}{{.}} {{end}}', 'x y '],
    ['{{if .Health}}yes{{else}}no{{end}}', 'no'],
    ['{{if eq .Name "db" "web"}}hit{{end}}', 'hit'],
    ['{{if and .Name (not .Health)}}ok{{else if .Count}}count{{end}}', 'ok'],
    ['{{with .Name}}[{{.}}]{{end}}', '[web]'],
    ['{{index .List 1}}{{len .List}}', 'y2'],
    ['{{.Label "b"}}', '2'],
    ['a  {{- .Name -}}  b', 'awebb'],
    ['{{/* nothing */}}x', 'x'],
    ['{{(index .Publishers 0).URL}}', 'u'],
    ['{{`raw "x"`}}', 'raw "x"'],
    ['{{$x := .Name}}{{$x}}-{{$x | upper}}', 'web-WEB'],
    ['{{range $k, $v := .Publishers}}{{range $n, $p := $v}}{{$k}}{{$n}}={{$p}} {{end}}{{end}}', '0PublishedPort=80 0URL=u '],
    ['{{range $i, $v := .List}}{{if $i}}, {{end}}{{$v}}{{else}}none{{end}}', 'x, y'],
    ['{{$n := 0}}{{range .List}}{{$n = .}}{{end}}{{$n}}', 'y'],
    ['{{range .List}}{{if eq . "y"}}{{break}}{{end}}{{.}}{{end}}', 'x'],
    ['{{range .List}}{{if eq . "x"}}{{continue}}{{end}}{{.}}{{end}}', 'y'],
    ['{{with .Health}}x{{else with .Name}}[{{.}}]{{end}}', '[web]'],
    ['{{if .Nope.Deeper}}a{{else}}b{{end}}', 'b'],
    ['{{and .Health .Nope.Deeper}}|{{or .Name .Nope.Deeper}}', '|web'],
    ['{{slice .Name 1}}{{slice .Name 0 1}}{{slice .List 1}}', 'ebw[y]'],
    ['{{printf "%05.2f|%-6s|%q|%x|%v" 3.14159 .Name .Name .Name .List}}', '03.14|web   |"web"|776562|[x y]'],
    ['{{print 1 2 "a" 3 4}}', '1 2a3 4'],
    [`{{html "<a href='x'>"}}{{urlquery "a b&c/é"}}`, '&lt;a href=&#39;x&#39;&gt;a+b%26c%2F%C3%A9'],
  ])('%s', (template, text) => {
    expect(compileTemplate(template)(data)).toBe(text);
  });

  test.each([
    '{{.Nope}}',
    '{{',
    '{{end}}',
    '{{if .Name}}',
    '{{nope .Name}}',
    '{{.Name',
    '{{range}}',
    '{{.Name.Deep}}',
    '{{constructor}}',
    '{{.constructor}}',
    '{{$x}}',
    '{{$x = 1}}',
    '{{$a, $b := .List}}',
    '{{if .Name}}{{$y := 1}}{{end}}{{$y}}',
    '{{range $i, $c := 3}}{{$i}}{{end}}',
    '{{slice .Name 2 9}}',
  ])('%s is refused', (template) => {
    expect(() => compileTemplate(template)(data)).toThrow(HyprError);
  });

  test('no text breaks the parser with anything but a usage error', () => {
    const piece = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom('{{', '}}', '.Name', 'range ', 'if ', 'end', 'else', '|', '(', ')', '"', ' ', '-', '$', 'json'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        try {
          expect(typeof compileTemplate(pieces.join(''))(data)).toBe('string');
        } catch (error) {
          expect(error).toBeInstanceOf(HyprError);
        }
      }),
      runs(2000),
    );
  });

  test('a table template has headings', () => {
    const rows = [{ Name: 'web', Ports: '80' }];
    const columns = { Name: 'NAME', Ports: 'PORTS' };
    expect(formatListing({ columns, rows, json: 'lines' }, 'table {{.Name}}\\t{{.Ports}}')).toBe('NAME      PORTS\nweb       80\n');
    expect(formatListing({ columns, rows: [], json: 'lines' }, 'table {{upper .Name}}\\t{{.Ports}}')).toBe('NAME      PORTS\n');
  });
});

test('log prefixes: colours in their order, the sixth bold', () => {
  const formatter = new LogFormatter({ color: true, prefix: true, timestamps: false, stack: 'shop' });
  const colours = ['a', 'b', 'c', 'd', 'e', 'f'].map((service) => /^\u001b\[([\d;]+)m/.exec(formatter.line(log(service, 'x')))?.[1]);
  expect(colours).toEqual(['36', '33', '32', '35', '34', '36;1']);
});

test('the summary has every replica, links for what speaks HTTP, and how those are that do not just run', () => {
  const port = (hostPort: number, inside: number) => ({ protocol: 'tcp' as const, hostAddress: '0.0.0.0', hostPort, port: inside });
  const replicas = [
    replica({ service: 'web', ports: [port(8080, 80), port(8443, 443)] }),
    replica({ service: 'postgres', health: 'healthy', ports: [port(5432, 5432)] }),
    replica({ service: 'worker', health: 'unhealthy' }),
    replica({ service: 'gone', state: 'exited', exitCode: 3 }),
  ];
  expect(`\n${formatSummary(replicas, 'shop', new Map([['web', 'https://web.shop.hypr/']]))}\n`).toBe(`
 gone-1      exited (3)
 postgres-1  healthy     127.0.0.1:5432
 web-1                   https://web.shop.hypr/  http://127.0.0.1:8080  https://127.0.0.1:8443
 worker-1    unhealthy   no published ports
`);
});

test.each([
  ['busybox', 'busybox', 'latest'],
  ['docker.io/library/nginx:1.26', 'nginx', '1.26'],
  ['127.0.0.1:5000/team/app', '127.0.0.1:5000/team/app', 'latest'],
  [`app@sha256:${'a'.repeat(64)}`, 'app', '<none>'],
])('imageRepository › gives the tag that docker shows for %s', (reference, repository, tag) => {
  expect(imageRepository(reference)).toEqual({ repository, tag });
});
