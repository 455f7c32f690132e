#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>

/*
 * Prints what changes in the folder `path` until nobody reads it any more: records of a letter, a path from the folder, and a zero byte.
 *
 *   w  what is at the path was written, or its attributes changed        n  the path is new, or something else is there now
 *   g  nothing is there any more                                         a  news were lost: anything may have changed (no path)
 *   l  no more folders may be watched than are, not all (no path)        r  all that is to be watched is (no path)
 *   m  `most` folders are watched, and there are more (no path): the answer on stdin is a line with a higher number, or the same for no more
 *
 * What is inside of .git and node_modules is not watched, unless it is to be `whole`. No link is followed, and nothing outside of the folder is opened: whoever writes
 * in it is a guest. The exit code is 0, or 71 with the reason on stderr.
 */
int watch_folder(const char *path, int most, bool whole);

#endif
