#ifndef CONSOLE_H
#define CONSOLE_H

/* A line on the machine's console (stderr in tests). Never blocks. */
void console_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
