#ifndef DEV_H
#define DEV_H

/* /dev as a container expects it, made in private while the machine boots: a template does that once for all its clones.
 * /proc and /sys come with each process, from its own namespaces. */
int make_dev(void);
/* Moves it into the root. Failures are said by fail(). */
int place_dev(int root);

#endif
