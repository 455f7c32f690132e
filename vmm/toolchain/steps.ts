import { messageOf } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';

/** Reports one step from its beginning to its end, with the seconds it took. */
export const track = async <T>(
  progress: ProgressSink,
  id: string,
  done: string,
  work: (onPercent: (percent: number) => void) => Promise<T>,
): Promise<T> => {
  const begin = Date.now();
  progress({ id, status: 'working', text: 'Preparing' });
  try {
    const result = await work((percent) =>
      progress({ id, status: 'working', text: 'Downloading', current: Math.round(percent), total: 100 }),
    );
    progress({ id, status: 'done', text: done, details: `${((Date.now() - begin) / 1000).toFixed(1)}s` });
    return result;
  } catch (error) {
    progress({ id, status: 'error', text: 'Error', details: messageOf(error) });
    throw error;
  }
};
