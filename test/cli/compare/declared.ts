/** Differences that are meant, by the line of the day: what is not as docker's, and why. */
export const DECLARED: Readonly<Record<string, string>> = {};
