/* Requests about programs. */
#ifndef PROCESS_REQUESTS_H
#define PROCESS_REQUESTS_H

#include "handlers/request.h"
#include "requests/simple_request.h"

/* START (the workload) and SPAWN (a program beside it, or a step of a build). */
void handle_start(const struct request *request);
void handle_attach(const struct request *request);
void handle_signal(const struct request *request, const struct simple_request *simple);
void handle_resize(const struct request *request, const struct simple_request *simple);

#endif
