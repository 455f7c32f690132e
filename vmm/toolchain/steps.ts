import { messageOf } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';

/** Progress of a step; `bytes` is the total that `percent` refers to. */
export type Report = (news: { readonly text: string; readonly percent?: number; readonly bytes?: number }) => void;

/** Reports the begin and the end of one step, with the seconds it took. */
export const track = async <T>(
  progress: ProgressSink,
  step: { readonly id: string; readonly done: string },
  work: (report: Report) => Promise<T>,
): Promise<T> => {
  const { id, done } = step;
  const begin = Date.now();
  progress({ id, status: 'working', text: 'Preparing' });
  try {
    const result = await work(({ text, percent, bytes }) =>
      progress({ id, status: 'working', text, ...(percent === undefined ? {} : amount(percent, bytes)) }),
    );
    progress({ id, status: 'done', text: done, details: `${((Date.now() - begin) / 1000).toFixed(1)}s` });
    return result;
  } catch (error) {
    progress({ id, status: 'error', text: 'Error', details: messageOf(error) });
    throw error;
  }
};

const amount = (percent: number, total = 100): { current: number; total: number } => ({
  current: Math.round((total * Math.min(100, percent)) / 100),
  total,
});
