// Linked into the agent when its coverage is measured (scripts/coverage.mjs): tests kill it, so its counters are written while it runs.
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

extern void __gcov_dump(void);
extern void __gcov_reset(void);

enum { EVERY_US = 50 * 1000 };

static void *write_counters(void *unused)
{
	(void)unused;
	for (;;) {
		usleep(EVERY_US);
		__gcov_dump();
		__gcov_reset();
	}
	return NULL;
}

__attribute__((constructor)) static void begin(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, write_counters, NULL) == 0)
		pthread_detach(thread);
}
