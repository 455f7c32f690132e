/*
 * Prints the rate of this host's time stamp counter in kHz. An emulated guest reads the host's counter, and
 * is told its rate on the kernel's command line: its own calibration goes wrong now and then under load.
 * Three measurements, the median, so that being descheduled in one of them does not count.
 */
#include <stdio.h>
#include <time.h>

static double nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return now.tv_sec * 1e9 + now.tv_nsec;
}

static double measure(void) {
  struct timespec pause = {0, 20000000};
  double begin = nanoseconds();
  unsigned long long ticks = __builtin_ia32_rdtsc();
  nanosleep(&pause, NULL);
  double end = nanoseconds();
  return (__builtin_ia32_rdtsc() - ticks) / (end - begin) * 1e6;
}

int main(void) {
  double a = measure(), b = measure(), c = measure();
  double median = a > b ? (b > c ? b : a > c ? c : a) : (a > c ? a : b > c ? c : b);
  printf("%.0f\n", median);
  return 0;
}
