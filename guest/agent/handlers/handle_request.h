#ifndef HANDLE_REQUEST_H
#define HANDLE_REQUEST_H

#include "handlers/request.h"

/* Hands a request to its handler; one that this agent does not know is refused. */
void handle_request(struct request *request);

#endif
