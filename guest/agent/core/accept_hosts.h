#ifndef ACCEPT_HOSTS_H
#define ACCEPT_HOSTS_H

/* Where the channel is a unix socket: the newest connection wins, as behind a virtio port. */
void accept_hosts(int listener);

#endif
