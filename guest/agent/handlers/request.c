#include "handlers/request.h"

#include "link/host_link.h"

void request_done(const struct request *request) { link_answer_done(request->channel); }

void request_refuse(const struct request *request, uint16_t reason, const char *text) {
  link_refuse(request->channel, STATUS_REFUSED, reason, text);
}
