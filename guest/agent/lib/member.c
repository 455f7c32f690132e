#include "lib/member.h"

bool is_member;
