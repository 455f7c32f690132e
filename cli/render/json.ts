import type { OutputStream } from '../core/context.ts';
import type { ProgressRenderer } from './types.ts';

/** docker compose's `--progress json`: one object per event with its keys, empty ones left out. */
export const createJsonRenderer = (stream: OutputStream, options: { readonly dryRun?: boolean } = {}): ProgressRenderer => ({
  onProgress: ({ id, parentId, status, text, details, current, total }) => {
    const percent = current !== undefined && total ? Math.trunc((current * 100) / total) : undefined;
    const line = {
      ...(options.dryRun ? { 'dry-run': true } : {}),
      id,
      parent_id: parentId,
      status: STATUS[status],
      text,
      details: details || undefined,
      current: current || undefined,
      total: total || undefined,
      percent: percent || undefined,
    };
    stream.write(`${JSON.stringify(line)}\n`);
  },
  onWarning: (message) => {
    stream.write(`${JSON.stringify({ level: 'warning', message })}\n`);
  },
  printAbove: (write) => write(),
  close: () => {},
});

const STATUS = { working: 'Working', done: 'Done', warning: 'Warning', error: 'Error' } as const;
