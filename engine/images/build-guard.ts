import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { withoutInherited } from '../../base/host/inherited.ts';
import { PENDING_FILE } from '../../base/host/pending-processes.ts';

/**
 * Cleans up after a build machine if this process is killed before it can. The guard is a shell in its own session that
 * waits for the end of its input, kills the processes noted in the folders below `runDir`
 * (base/host/pending-processes.ts), and removes the folders.
 */
export const startBuildGuard = (input: { readonly runDir: string; readonly folders: readonly string[] }): { close(): Promise<void> } => {
  const { stdio, done } = withoutInherited(['pipe', 'ignore', 'ignore'] as const);
  const child = spawn('/bin/sh', ['-c', GUARD_SCRIPT], { detached: true, cwd: '/', stdio });
  done();
  child.unref();
  child.on('error', () => {});
  const { stdin } = child;
  stdin?.on('error', () => {});
  stdin?.write(`${[input.runDir, ...input.folders].join('\n')}\n\n`);
  const ended = child.exitCode === null ? once(child, 'exit').catch(() => {}) : Promise.resolve();
  return {
    close: async () => {
      // It kept nobody alive until now; from here on its end is waited for.
      child.ref();
      stdin?.end('done\n');
      await ended;
    },
  };
};

/**
 * Reads folders up to an empty line, the run folder first; then `done`, or the end of input if its owner was killed. A process
 * is killed only if it has the noted start time, the 22nd field of its stat file: the 20th after the name in brackets.
 */
export const GUARD_SCRIPT = `
trap '' HUP INT TERM
IFS= read -r run || exit 0
set --
while IFS= read -r folder && [ -n "$folder" ]; do set -- "$@" "$folder"; done
if IFS= read -r word; then exit 0; fi
start_time() {
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  set -- \${stat##*)}
  [ $# -ge 20 ] && shift 19 && echo "$1"
}
for list in "$run"/*/${PENDING_FILE}; do
  [ -f "$list" ] || continue
  while read -r pid start; do
    if [ -n "$start" ] && [ "$(start_time "$pid")" = "$start" ]; then kill -KILL "$pid" 2>/dev/null; fi
  done < "$list"
done
rm -rf -- "$run" "$@"
`;
