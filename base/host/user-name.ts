import { userInfo } from 'node:os';

/** The user's name; undefined where the user has none, as in some containers and CI. */
export const userName = (): string | undefined => {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
};
