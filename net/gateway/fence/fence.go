// Package fence closes the process in: after it no file, no program, no address to listen on.
package fence

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Fence describes the sandbox that the kernel allowed; it is reported on the status descriptor and in State.
type Fence struct {
	Landlock int  `json:"landlock"` // ABI, 0: none
	Seccomp  bool `json:"seccomp"`
	Nets     bool `json:"nets"` // internet sockets can be created
}

// Prepare drops everything that survives an exec: inherited descriptors, privileges, core dumps. `keep` is the last
// descriptor that stays open.
func Prepare(keep uint) error {
	if err := unix.CloseRange(keep+1, ^uint(0)>>1&0xffffffff, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		for fd := keep + 1; fd < 65536; fd++ { // Linux before 5.11
			unix.CloseOnExec(int(fd))
		}
	}
	unix.Umask(0o077)
	limits := map[int]unix.Rlimit{unix.RLIMIT_CORE: {}, unix.RLIMIT_NOFILE: Descriptors()}
	for which, limit := range limits {
		if err := unix.Setrlimit(which, &limit); err != nil {
			return fmt.Errorf("resource limit %d: %w", which, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("privileges cannot be dropped: %w", err)
	}
	// Not even user 0 has capabilities after the exec below.
	const noRoot = 1<<0 | 1<<1 | 1<<2 | 1<<3
	_ = unix.Prctl(unix.PR_SET_SECUREBITS, noRoot, 0, 0, 0)
	return nil
}

const maxDescriptors = 32768

// Descriptors is the limit of descriptors that Prepare sets.
func Descriptors() unix.Rlimit {
	var now unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &now)
	limit := min(now.Max, maxDescriptors)
	return unix.Rlimit{Cur: limit, Max: limit}
}

// Shut applies the sandbox to all threads: no file can be opened, no address bound or listened on, no program started,
// and no socket created except internet sockets for outgoing connections, which internal networks may not create either.
// Landlock enforces the same a second time and is optional; the seccomp filter is required.
func Shut(internal bool) (Fence, error) {
	fence := Fence{Nets: !internal}
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	fence.Landlock = landlock(internal)
	program := filter(internal)
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fence, fmt.Errorf("this kernel has no seccomp filters (%v), which are required to isolate a network", errno)
	}
	fence.Seccomp = true
	return fence, selfTest()
}

// selfTest checks that the sandbox has an effect.
func selfTest() error {
	if fd, err := unix.Open("/", unix.O_RDONLY, 0); err == nil {
		_ = unix.Close(fd)
		return errors.New("the fence does not hold: a folder could be opened")
	}
	if fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err == nil {
		_ = unix.Close(fd)
		return errors.New("the fence does not hold: a unix socket could be created")
	}
	return nil
}

type ruleset struct{ fs, net, scoped uint64 }

// landlock returns the ABI that was applied. A ruleset without rules denies everything that it handles.
func landlock(internal bool) int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || abi < 1 {
		return 0
	}
	rules := ruleset{fs: 1<<13 - 1}
	size := unsafe.Sizeof(rules.fs)
	for _, since := range []struct {
		abi uintptr
		bit uint64
	}{{2, 1 << 13}, {3, 1 << 14}, {5, 1 << 15}} {
		if abi >= since.abi {
			rules.fs |= since.bit
		}
	}
	if abi >= 4 {
		rules.net = unix.LANDLOCK_ACCESS_NET_BIND_TCP
		if internal {
			rules.net |= unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		}
		size = 2 * unsafe.Sizeof(rules.fs)
	}
	if abi >= 6 {
		rules.scoped = 1<<0 | 1<<1 // abstract unix sockets, signals
		size = unsafe.Sizeof(rules)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), size, 0)
	if errno != 0 {
		return 0
	}
	defer unix.Close(int(fd))
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return 0
	}
	return int(abi)
}

// allowed lists the system calls of Go's runtime and network poller, and those on descriptors that are open already.
var allowed = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_CLOSE, unix.SYS_PREAD64, unix.SYS_FSTAT, unix.SYS_LSEEK,
	unix.SYS_ACCEPT4, unix.SYS_SHUTDOWN, unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG,
	unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT,
	unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_PWAIT2, unix.SYS_EVENTFD2, unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP,
	unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETRANDOM,
	unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_BRK,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
	unix.SYS_GETTID, unix.SYS_GETPID, unix.SYS_GETUID, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

type assembler []unix.SockFilter

func (a *assembler) add(code uint16, k uint32, yes, no uint8) {
	*a = append(*a, unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k})
}

const (
	opLoad   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opSet    = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	opAnd    = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opReturn = unix.BPF_RET | unix.BPF_K
	retAllow = 0x7fff0000
	retErrno = 0x00050000
	retKill  = 0x80000000
	offNr    = 0
	offArch  = 4
	offArgs  = 16
)

// call adds a branch for one system call: the instructions of `body`, which must return on every path.
func (a *assembler) call(nr uint32, body func(*assembler)) {
	var inner assembler
	body(&inner)
	a.add(opEqual, nr, 0, uint8(len(inner)))
	*a = append(*a, inner...)
}

func refuse(errno syscall.Errno) func(*assembler) {
	return func(a *assembler) { a.add(opReturn, retErrno|uint32(errno), 0, 0) }
}

// withBits allows a call if its argument has one of the bits, or if it has none of them.
func withBits(arg int, bits uint32, wanted bool) func(*assembler) {
	return func(a *assembler) {
		a.add(opLoad, uint32(offArgs+8*arg), 0, 0)
		if wanted {
			a.add(opSet, bits, 0, 1)
		} else {
			a.add(opSet, bits, 1, 0)
		}
		a.add(opReturn, retAllow, 0, 0)
		a.add(opReturn, retErrno|uint32(syscall.EPERM), 0, 0)
	}
}

// auditArch is the kernel's name of the processor (linux/audit.h); 0, which none has, refuses every call.
var auditArch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]

func filter(internal bool) []unix.SockFilter {
	var a assembler
	a.add(opLoad, offArch, 0, 0)
	a.add(opEqual, auditArch, 1, 0)
	a.add(opReturn, retKill, 0, 0)
	a.add(opLoad, offNr, 0, 0)
	for _, nr := range allowed {
		a.call(nr, func(b *assembler) { b.add(opReturn, retAllow, 0, 0) })
	}
	a.call(unix.SYS_MMAP, withBits(2, unix.PROT_EXEC, false))
	a.call(unix.SYS_MPROTECT, withBits(2, unix.PROT_EXEC, false))
	a.call(unix.SYS_CLONE, withBits(0, unix.CLONE_THREAD, true))
	a.call(unix.SYS_CLONE3, refuse(syscall.ENOSYS))
	a.call(unix.SYS_TGKILL, func(b *assembler) {
		b.add(opLoad, offArgs, 0, 0)
		b.add(opEqual, uint32(os.Getpid()), 0, 1)
		b.add(opReturn, retAllow, 0, 0)
		b.add(opReturn, retErrno|uint32(syscall.EPERM), 0, 0)
	})
	// Input and output on a descriptor can signal its owner, which may be any process of the user.
	a.call(unix.SYS_FCNTL, func(b *assembler) {
		b.add(opLoad, offArgs+8, 0, 0)
		b.add(opEqual, unix.F_SETOWN, 3, 0)
		b.add(opEqual, unix.F_SETSIG, 2, 0)
		b.add(opEqual, unix.F_SETOWN_EX, 1, 0)
		b.add(opReturn, retAllow, 0, 0)
		b.add(opReturn, retErrno|uint32(syscall.EPERM), 0, 0)
	})
	if !internal {
		a.call(unix.SYS_CONNECT, func(b *assembler) { b.add(opReturn, retAllow, 0, 0) })
		a.call(unix.SYS_SOCKET, filterSocket)
	}
	a.add(opReturn, retErrno|uint32(syscall.EPERM), 0, 0)
	return a
}

// filterSocket allows internet stream and datagram sockets; no MPTCP, no raw sockets.
func filterSocket(a *assembler) {
	deny := func() { a.add(opReturn, retErrno|uint32(syscall.EACCES), 0, 0) }
	oneOf := func(values ...uint32) {
		for i, value := range values {
			a.add(opEqual, value, uint8(len(values)-i), 0)
		}
		deny()
	}
	a.add(opLoad, offArgs, 0, 0)
	oneOf(unix.AF_INET, unix.AF_INET6)
	a.add(opLoad, offArgs+8, 0, 0)
	a.add(opAnd, 0xf, 0, 0)
	oneOf(unix.SOCK_STREAM, unix.SOCK_DGRAM)
	a.add(opLoad, offArgs+16, 0, 0)
	oneOf(0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP)
	a.add(opReturn, retAllow, 0, 0)
}
