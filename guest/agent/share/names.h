/* Names in the folders of a lent volume. A request has one name at a time, which is no path: none leads out of its folder. */
#ifndef NAMES_H
#define NAMES_H

#include "share/call.h"

/* Each gives 0 and the answer in the call, or an errno. */
int find_name(struct call *call);
int make_node(struct call *call);
int make_folder(struct call *call);
int make_link(struct call *call);
int make_symbolic_link(struct call *call);
int read_symbolic_link(struct call *call);
int remove_name(struct call *call);
int remove_folder(struct call *call);
int rename_name(struct call *call);

#endif
