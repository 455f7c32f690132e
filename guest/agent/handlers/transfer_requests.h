#ifndef TRANSFER_REQUESTS_H
#define TRANSFER_REQUESTS_H

#include "handlers/request.h"
#include "requests/simple_request.h"

/* What runs as a job with data on its channel, or only takes its time: archives, layers, steps of a build, relays, SYNC. */
void handle_transfer(const struct request *request, struct simple_request *simple);

#endif
