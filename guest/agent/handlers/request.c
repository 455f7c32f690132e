#include "handlers/request.h"

#include "link/host_link.h"

void request_done(const struct request *request) { link_answer(request->channel, STATUS_OK, NULL); }

void request_refuse(const struct request *request, const char *text) { link_answer(request->channel, STATUS_REFUSED, text); }
