import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Ends what belongs to a build machine if this process is killed before it can: a shell in a session of its own that
 * waits for the end of its input. Every process that has `runDir` in its command line is killed, and the folders go.
 */
export const startBuildGuard = (input: { readonly runDir: string; readonly folders: readonly string[] }): { close(): Promise<void> } => {
  const child = spawn('/bin/sh', ['-c', GUARD_SCRIPT], { detached: true, cwd: '/', stdio: ['pipe', 'ignore', 'ignore'] });
  child.unref();
  child.on('error', () => {});
  const { stdin } = child;
  stdin.on('error', () => {});
  // Its own command line must not name the folder.
  stdin.write(`${[`${input.runDir}/`, ...input.folders].join('\n')}\n\n`);
  const ended = child.exitCode === null ? once(child, 'exit').catch(() => {}) : Promise.resolve();
  return {
    close: async () => {
      stdin.end('done\n');
      await ended;
    },
  };
};

/** Reads what to look for, then folders up to an empty line; then `done`, or the end of whoever wrote it. */
export const GUARD_SCRIPT = `
trap '' HUP INT TERM
IFS= read -r own || exit 0
set --
while IFS= read -r folder && [ -n "$folder" ]; do set -- "$@" "$folder"; done
if IFS= read -r word; then exit 0; fi
for proc in /proc/[0-9]*; do
  if tr '\\0' '\\n' < "$proc/cmdline" 2>/dev/null | grep -qF -- "$own"; then kill -KILL "\${proc#/proc/}" 2>/dev/null; fi
done
rm -rf -- "\${own%/}" "$@"
`;
