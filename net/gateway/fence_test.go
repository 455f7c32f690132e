package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hypr/gateway/fence"
)

// The test's program is the one inside the fence when this is set: it tries everything and prints what it could do.
const insideFence = "GATEWAY_TEST_FENCE"

func TestMain(m *testing.M) {
	if internal := os.Getenv(insideFence); internal != "" {
		tryEverything(internal == "internal")
		return
	}
	os.Exit(m.Run())
}

func tryEverything(internal bool) {
	victim := os.Args[1]
	listener, _ := net.Listen("tcp4", "127.0.0.1:0")
	_, _, _ = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if _, err := fence.Shut(internal); err != nil {
		panic(err)
	}
	results := map[string]string{}
	// On other threads, too: the fence is round all of them.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		attack(victim, results)
	}()
	<-done
	conn, err := net.Dial("tcp4", listener.Addr().String())
	results["connect"] = outcome(err)
	if err == nil {
		_ = conn.Close()
	}
	_ = json.NewEncoder(os.Stdout).Encode(results)
}

func outcome(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

func attack(victim string, results map[string]string) {
	try := func(name string, err error) { results[name] = outcome(err) }
	errno := func(_, _ uintptr, e syscall.Errno) error {
		if e == 0 {
			return nil
		}
		return e
	}
	_, err := os.ReadFile(victim)
	try("read a file", err)
	try("write a file", os.WriteFile(victim+".new", nil, 0o600))
	try("remove a file", os.Remove(victim))
	try("rename a file", os.Rename(victim, victim+".moved"))
	try("link a file", os.Link(victim, victim+".linked"))
	try("change a mode", os.Chmod(victim, 0o777))
	_, err = os.Stat(victim)
	try("learn whether a file is there", err)
	_, err = os.ReadDir("/")
	try("list a folder", err)
	try("start a program", syscall.Exec("/bin/true", []string{"true"}, nil))
	_, err = syscall.ForkExec("/bin/true", []string{"true"}, nil)
	try("fork", err)
	for name, address := range map[string]syscall.Sockaddr{
		"bind a port":        &syscall.SockaddrInet4{},
		"bind a port by six": &syscall.SockaddrInet6{},
	} {
		for kind, number := range map[string]int{" tcp": syscall.SOCK_STREAM, " udp": syscall.SOCK_DGRAM} {
			domain := syscall.AF_INET
			if _, six := address.(*syscall.SockaddrInet6); six {
				domain = syscall.AF_INET6
			}
			fd, err := syscall.Socket(domain, number, 0)
			if err == nil {
				err = syscall.Bind(fd, address)
			}
			try(name+kind, err)
		}
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Listen(fd, 1)
	}
	try("listen without an address", err)
	_, err = unix.FcntlInt(0, unix.F_SETOWN, os.Getppid())
	try("let a descriptor signal another process", err)
	_, err = unix.FcntlInt(0, unix.F_SETSIG, int(unix.SIGKILL))
	try("choose the signal of a descriptor", err)
	for name, arguments := range map[string][3]int{
		"a unix socket":    {syscall.AF_UNIX, syscall.SOCK_STREAM, 0},
		"a unix datagram":  {syscall.AF_UNIX, syscall.SOCK_DGRAM, 0},
		"a raw socket":     {syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP},
		"a packet socket":  {syscall.AF_PACKET, syscall.SOCK_DGRAM, 0},
		"a netlink socket": {syscall.AF_NETLINK, syscall.SOCK_RAW, 0},
		"a vsock socket":   {unix.AF_VSOCK, syscall.SOCK_STREAM, 0},
		"an MPTCP socket":  {syscall.AF_INET, syscall.SOCK_STREAM, 262},
		"an SCTP socket":   {syscall.AF_INET, syscall.SOCK_STREAM, 132},
	} {
		_, err := syscall.Socket(arguments[0], arguments[1], arguments[2])
		try(name, err)
	}
	try("memory to run", errno(syscall.Syscall6(syscall.SYS_MMAP, 0, 4096, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE|syscall.MAP_ANON, ^uintptr(0), 0)))
	try("a namespace", errno(syscall.Syscall(syscall.SYS_UNSHARE, syscall.CLONE_NEWUSER, 0, 0)))
	try("trace", errno(syscall.Syscall6(syscall.SYS_PTRACE, syscall.PTRACE_ATTACH, uintptr(os.Getppid()), 0, 0, 0, 0)))
	try("read memory of another", errno(syscall.Syscall6(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid()), 0, 0, 0, 0, 0)))
	try("signal another", syscall.Kill(os.Getppid(), 0))
	try("io_uring", errno(syscall.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)))
	try("bpf", errno(syscall.Syscall(unix.SYS_BPF, 0, 0, 0)))
	try("memfd", errno(syscall.Syscall(unix.SYS_MEMFD_CREATE, 0, 0, 0)))
	try("a user's key", errno(syscall.Syscall(unix.SYS_KEYCTL, 0, 0, 0)))
	try("chroot", syscall.Chroot("/"))
	try("mount", syscall.Mount("", "/", "", 0, ""))
	try("raise limits", syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 10, Max: 10}))
}

func TestInsideTheFenceNothingCanBeDoneButConnect(t *testing.T) {
	for _, kind := range []string{"outside", "internal"} {
		t.Run(kind, func(t *testing.T) {
			victim := filepath.Join(t.TempDir(), "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.Command(os.Args[0], victim)
			command.Env = append(os.Environ(), insideFence+"="+kind)
			var stderr strings.Builder
			command.Stderr = &stderr
			output, err := command.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			var results map[string]string
			if err := json.Unmarshal(output, &results); err != nil {
				t.Fatal(err)
			}
			if len(results) < 35 {
				t.Errorf("only %d were tried", len(results))
			}
			for name, result := range results {
				if wanted := name == "connect" && kind == "outside"; (result == "done") != wanted {
					t.Errorf("%s: %s", name, result)
				}
			}
			if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
				t.Errorf("the file is %q, %v", text, err)
			}
		})
	}
}

func TestNothingInheritedSurvivesTheStart(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	program := filepath.Join(t.TempDir(), "gvproxy")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	secret, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	command := exec.Command(program, "run", "n")
	command.Stdin = strings.NewReader(`{"network":"n","socket":"` + socket + `","subnet":"10.0.0.0/24","gateway":"10.0.0.1","mtu":1500}`)
	command.ExtraFiles = []*os.File{writer, secret, secret, secret}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	_ = writer.Close()
	var status struct{ Ready bool }
	if err := json.NewDecoder(reader).Decode(&status); err != nil || !status.Ready {
		t.Fatalf("%+v %v", status, err)
	}
	entries, err := os.ReadDir("/proc/" + itoa(command.Process.Pid) + "/fd")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("a process that cannot be dumped shows its descriptors to user 0 only")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, _ := os.Readlink("/proc/" + itoa(command.Process.Pid) + "/fd/" + entry.Name()); target == "/dev/zero" {
			t.Errorf("descriptor %s is still open", entry.Name())
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
