const SECOND = 1000;

/** A duration in milliseconds as docker prints it: "4 seconds", "About an hour" (go-units HumanDuration). */
export const humanDuration = (ms: number): string => {
  const seconds = Math.trunc(ms / SECOND);
  if (seconds < 1) {
    return 'Less than a second';
  }
  if (seconds < 60) {
    return seconds === 1 ? '1 second' : `${seconds} seconds`;
  }
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 60) {
    return minutes === 1 ? 'About a minute' : `${minutes} minutes`;
  }
  const hours = Math.trunc(ms / SECOND / 3600 + 0.5);
  return humanHours(hours, ms);
};

const humanHours = (hours: number, ms: number): string => {
  if (hours < 48) {
    return hours === 1 ? 'About an hour' : `${hours} hours`;
  }
  if (hours < 24 * 14) {
    return `${Math.trunc(hours / 24)} days`;
  }
  if (hours < 24 * 60) {
    return `${Math.trunc(hours / 24 / 7)} weeks`;
  }
  if (hours < 24 * 730) {
    return `${Math.trunc(hours / 24 / 30)} months`;
  }
  return `${Math.trunc(Math.trunc(ms / SECOND / 3600) / 24 / 365)} years`;
};

/** "4 seconds ago". */
export const ago = (then: number, now: number): string => `${humanDuration(Math.max(0, now - then))} ago`;
