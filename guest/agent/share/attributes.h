/* Attributes of the files of a lent volume, extended ones too. */
#ifndef ATTRIBUTES_H
#define ATTRIBUTES_H

#include "share/call.h"

/* Each gives 0 and the answer in the call, or an errno. */
int get_attributes(struct call *call);
int set_attributes(struct call *call);
int get_usage(struct call *call);
int get_extended(struct call *call);
int list_extended(struct call *call);
int set_extended(struct call *call);
int remove_extended(struct call *call);

#endif
