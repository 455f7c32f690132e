/** docker compose's text for a `down` that finds nothing; said by the client or, when it cannot know, by the supervisor. */
export const nothingToRemove = (stack: string): string => `No resource found to remove for project "${stack}".`;
