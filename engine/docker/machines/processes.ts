import { HyprError } from '../../../base/errors.ts';
import { sanitiseName } from '../../../base/sanitise.ts';
import type { ReplicaStatus } from '../../model/events.ts';
import { EXEC_DEFAULTS } from '../../model/option-defaults.ts';
import type { ExecSession, Stack } from '../../model/types.ts';

// Runs in the service's own shell, so an image without one has no `top`. One record per process:
// uid, stat line (proc(5)), boot time, command line; separated by unit separators.
const SCRIPT = `
btime=$(while read -r k v; do [ "$k" = btime ] && echo "$v"; done < /proc/stat)
for d in /proc/[0-9]*; do
  [ "\${d#/proc/}" = "$$" ] && continue
  uid=; while read -r k v r; do [ "$k" = Uid: ] && uid=$v; done < $d/status 2>/dev/null
  { read -r stat < $d/stat; } 2>/dev/null || continue
  cmd=$(tr '\\000' ' ' < $d/cmdline 2>/dev/null)
  printf '%s\\037%s\\037%s\\037%s\\n' "$uid" "$stat" "$btime" "$cmd"
done`;

const TICKS = 100;
const MAX_OUTPUT = 1 << 20;

/** The processes of a running replica, one record per line, for `formatProcesses`. Throws GUEST_EXEC where its image has no shell. */
export const listProcesses = async (stack: Stack, replica: ReplicaStatus, signal: AbortSignal): Promise<string> => {
  const session = await stack.exec(
    {
      ...EXEC_DEFAULTS,
      service: replica.service,
      index: replica.number,
      args: ['/bin/sh', '-c', SCRIPT],
      user: '0',
      workdir: '/',
    },
    signal,
  );
  try {
    return await readAll(session, replica);
  } finally {
    session.close();
  }
};

const readAll = async (session: ExecSession, replica: ReplicaStatus): Promise<string> => {
  const parts: Record<'stdout' | 'stderr', Uint8Array[]> = { stdout: [], stderr: [] };
  let size = 0;
  for await (const chunk of session.output) {
    size += chunk.data.length;
    if (size <= MAX_OUTPUT) {
      parts[chunk.stream].push(chunk.data);
    }
  }
  const code = await session.exitCode;
  const text = Buffer.concat(parts.stdout).toString('utf8');
  if (code !== 0 && text === '') {
    throw new HyprError('GUEST_EXEC', `the processes of ${replica.name} cannot be listed: its image has no /bin/sh`, {
      details: Buffer.concat(parts.stderr).toString('utf8').trim().split('\n').slice(-3),
    });
  }
  return text;
};

/** Rows from the script's records: fields of /proc/PID/stat as in proc(5). */
export const formatProcesses = (replica: Pick<ReplicaStatus, 'service' | 'number'>, text: string, now: number): string[][] =>
  text.split('\n').flatMap((line) => {
    const [uid = '', stat = '', boot = '', ...command] = line.split('\u001f');
    const open = stat.indexOf('(');
    const close = stat.lastIndexOf(')');
    if (open === -1 || close === -1) {
      return [];
    }
    const fields = stat.slice(close + 2).split(' ');
    const name = stat.slice(open + 1, close);
    const cpu = Math.trunc((Number(fields[11]) + Number(fields[12])) / TICKS);
    const start = (Number(boot) + Number(fields[19]) / TICKS) * 1000;
    const age = Math.max(1, (now - start) / 1000);
    const shown = sanitiseName(command.join(' ').trim()) || `[${sanitiseName(name)}]`;
    return [
      [
        replica.service,
        String(replica.number),
        uid || '-',
        stat.slice(0, open).trim(),
        fields[1] ?? '-',
        String(Math.min(99, Math.trunc((cpu * 100) / age))),
        startTime(start, now),
        fields[4] === '0' ? '?' : 'pts',
        clock(cpu),
        shown,
      ],
    ];
  });

/** ps -f: the hour of today, else the day. */
const startTime = (start: number, now: number): string => {
  const date = new Date(start);
  const two = (value: number): string => String(value).padStart(2, '0');
  return now - start < 86_400_000
    ? `${two(date.getHours())}:${two(date.getMinutes())}`
    : date.toLocaleDateString('en', { month: 'short', day: '2-digit' }).replace(' ', '');
};

const clock = (seconds: number): string =>
  [Math.trunc(seconds / 3600), Math.trunc(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, '0')).join(':');
