#pragma once
#include <stdbool.h>

#define MIB (1L << 20)
#define BUFFER (256 << 10)
#define SMALL 1024
#define FOLDERS 20

extern char buffer[BUFFER];

double now(void);
_Noreturn void die(const char *what);

void run_serve(int port);
void run_net(const char *host, const char *port, long mib);
void run_dns(const char *name, int count, int most);
