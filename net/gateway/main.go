// gvproxy is the gateway of one network of hypr: a switch for its machines, NAT to outside, and DNS. It offers
// nothing else to them, and accepts requests on its unix socket only (docs/gateway-protocol.md).
//
//	gvproxy run NETWORK   configuration as JSON on stdin, {"ready":true,…} or {"error":…} on descriptor 3
//	gvproxy fence         what this kernel offers, as JSON
//	gvproxy version
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"

	"golang.org/x/sys/unix"
	glog "gvisor.dev/gvisor/pkg/log"

	"hypr/gateway/fence"
)

const (
	version     = "1.0.0"
	statusFD    = 3
	exitRefused = 71
	stageName   = "GVPROXY_STAGE"
)

func main() {
	switch {
	case len(os.Args) == 2 && (os.Args[1] == "version" || os.Args[1] == "-version"):
		fmt.Println("gvproxy version v" + version)
	case len(os.Args) == 2 && os.Args[1] == "fence":
		showFence()
	// The argument after the name is only shown in ps; nothing else identifies the process.
	case (len(os.Args) == 3 || len(os.Args) == 4) && os.Args[1] == "run" && os.Getenv(stageName) == "":
		fail(restart())
	case (len(os.Args) == 3 || len(os.Args) == 4) && os.Args[1] == "run":
		fail(run(os.Args[2]))
	default:
		fmt.Fprintln(os.Stderr, "usage: gvproxy run NETWORK [FOLDER] | gvproxy fence | gvproxy version")
		os.Exit(64)
	}
}

func fail(err error) {
	status(map[string]string{"error": err.Error()})
	fmt.Fprintln(os.Stderr, "gvproxy:", err)
	os.Exit(exitRefused)
}

func status(value any) {
	text, _ := json.Marshal(value)
	_, _ = unix.Write(statusFD, append(text, '\n'))
	_ = unix.Close(statusFD)
}

// showFence applies the sandbox to itself, which is the only way to find out what the kernel allows.
func showFence() {
	_, _, _ = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	fence, err := fence.Shut(false)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gvproxy:", err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(fence)
}

// restart execs this program again, without inherited descriptors and privileges.
func restart() error {
	runtime.LockOSThread()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := fence.Prepare(statusFD); err != nil {
		return err
	}
	return unix.Exec(self, os.Args, []string{stageName + "=2", "GODEBUG=multipathtcp=0"})
}

func run(network string) error {
	unix.CloseOnExec(statusFD)
	config, err := readConfig(os.Stdin)
	if err != nil {
		return err
	}
	if config.Network != network {
		return fmt.Errorf("the configuration is for %s and not for %s", config.Network, network)
	}
	config.Limits.fit(int(fence.Descriptors().Cur))
	logger := &limitedWriter{to: os.Stderr, left: config.Limits.LogBytes}
	log.SetOutput(logger)
	glog.SetTarget(glog.GoogleEmitter{Writer: &glog.Writer{Next: logger}})
	glog.SetLevel(glog.Warning)
	runtime.GOMAXPROCS(min(runtime.NumCPU(), 4))
	debug.SetMemoryLimit(config.Limits.MemoryMiB << 20)
	debug.SetGCPercent(50)
	metrics.Read([]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}})

	g, err := newGateway(config)
	if err != nil {
		return err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: config.Socket, Net: "unix"})
	if err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Dup3(null, 0, 0); err != nil {
		return err
	}
	_ = unix.Close(null)
	if g.fence, err = fence.Shut(config.Internal); err != nil {
		return err
	}
	status(map[string]any{"ready": true, "fence": g.fence})
	go g.watch()
	return g.serve(listener)
}
