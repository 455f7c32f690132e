/* Serves a folder as a lent volume, on stdin and stdout; read-only with a second argument. Not part of the agent: built with sanitizers by test/guest/lend.test.ts. */
#include "share/serve.h"

int main(int argc, char **argv) { return argc >= 2 && serve_folder(0, 1, argv[1], argc > 2) == 0 ? 0 : 1; }
