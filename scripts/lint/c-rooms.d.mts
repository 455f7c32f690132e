/** What is wrong with the includes of the C sources of a project, a line each. */
export const checkCRooms: (root?: string) => string[];
