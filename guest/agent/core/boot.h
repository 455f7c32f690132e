#ifndef BOOT_H
#define BOOT_H

/* From the kernel's hand-over to "waiting for its configuration". */
void boot_machine(int argc, char **argv);

#endif
