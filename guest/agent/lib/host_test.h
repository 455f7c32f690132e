/* Whether this is the agent of tests: an ordinary program that listens on a unix socket, without namespaces and mounts. */
#ifndef HOST_TEST_H
#define HOST_TEST_H

#ifdef KESTREL_HOST_TEST
enum { host_test = 1 };
#else
enum { host_test = 0 };
#endif

#endif
