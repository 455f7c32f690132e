/*
 * Stands for a kernel that lacks something: deny LETTERS PROGRAM [ARGUMENT]...
 *   l  no Landlock   s  no seccomp filters   u  no namespaces of one's own
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sock_filter code[32];
static unsigned short size;

static void emit(int op, unsigned k, int yes, int no) {
  code[size++] = (struct sock_filter){(unsigned short)op, (unsigned char)yes, (unsigned char)no, k};
}

/* The loaded value equals `value`: fail with `error`. */
static void refuse(unsigned value, int error) {
  emit(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
  emit(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error, 0, 0);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    return 64;
  }
  emit(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
  if (strchr(argv[1], 'l') != NULL) {
    refuse(444, ENOSYS);
  }
  if (strchr(argv[1], 'u') != NULL) {
    refuse(SYS_unshare, EPERM);
  }
  if (strchr(argv[1], 's') != NULL) {
    refuse(SYS_seccomp, EINVAL);
    emit(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3);
    emit(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args), 0, 0);
    refuse(PR_SET_SECCOMP, EINVAL);
  }
  emit(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
  struct sock_fprog program = {size, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
    return 65;
  }
  execv(argv[2], argv + 2);
  return 66;
}
