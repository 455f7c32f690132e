// Linked into the agent when its coverage is measured (scripts/coverage.mjs): tests kill it, so its counters are written whenever it
// waits for events (the linker gives it this epoll_wait). A thread for that would be a deadlock: a fork copies the lock that it may hold.
#include <sys/epoll.h>
#include <time.h>

extern void __gcov_dump(void);
extern void __gcov_reset(void);
extern int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);

enum { EVERY_MS = 50 };

static long long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	static long long written;
	long long since = now_ms() - written;
	int first = since >= EVERY_MS ? 0 : (int)(EVERY_MS - since);
	if (timeout >= 0 && timeout <= first)
		return __real_epoll_wait(fd, events, max, timeout);
	int count = __real_epoll_wait(fd, events, max, first);
	if (count != 0)
		return count;
	__gcov_dump();
	__gcov_reset();
	written = now_ms();
	return __real_epoll_wait(fd, events, max, timeout < 0 ? -1 : timeout - first);
}
