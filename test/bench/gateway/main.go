// Measures two gateways against each other in one run, interleaved: the stock gvproxy 0.8.9 and ours. Machines are network
// namespaces with a TAP whose frames go to the gateway as a VMM's would, so that what is measured is the gateway between two
// kernels' TCP. Needs user 0.
//
//	go run . -stock PATH -ours PATH [-rounds N]     one line of JSON for each figure and gateway
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	gatewayIP = "10.77.0.1"
	mtu       = 65520
	setns     = 308
)

type machine struct{ name, ip, mac string }

var (
	first  = machine{"gwb1", "10.77.0.11", "02:00:00:00:07:11"}
	second = machine{"gwb2", "10.77.0.12", "02:00:00:00:07:12"}
)

// kind is one gateway: how it is started and asked.
type kind struct {
	name   string
	start  func(folder string) *exec.Cmd
	nic    func(socket string, m machine) net.Conn
	tunnel func(socket, ip string, port int) net.Conn
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func run(name string, args ...string) {
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%s %v: %v: %s", name, args, err, output))
	}
}

func dialUnix(path string) net.Conn {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn
		}
		if time.Now().After(deadline) {
			panic(err)
		}
	}
}

func stock(program string) kind {
	return kind{
		name: "stock",
		start: func(folder string) *exec.Cmd {
			config := filepath.Join(folder, "c.yaml")
			text := fmt.Sprintf(`{"listen":["unix://%s/n.sock"],"interfaces":{"qemu":"unix://%s/q.sock"},"stack":{"mtu":%d,"subnet":"10.77.0.0/24","gatewayIP":"%s","nat":{"10.77.0.254":"224.0.0.0"},"gatewayVirtualIPs":["%s"],"dns":[{"name":"hypr.","records":[{"name":"db","ip":"10.77.0.9"}]}]}}`, folder, folder, mtu, gatewayIP, gatewayIP)
			check(os.WriteFile(config, []byte(text), 0o600))
			return exec.Command(program, "-config", config)
		},
		nic: func(socket string, _ machine) net.Conn {
			conn := dialUnix(socket)
			_, err := conn.Write([]byte("POST /connect HTTP/1.1\r\nHost: x\r\n\r\n"))
			check(err)
			time.Sleep(50 * time.Millisecond)
			return conn
		},
		tunnel: func(socket, ip string, port int) net.Conn {
			conn := dialUnix(socket)
			_, err := fmt.Fprintf(conn, "GET /tunnel?ip=%s&port=%d HTTP/1.1\r\nHost: x\r\n\r\n", ip, port)
			check(err)
			_, err = io.ReadFull(conn, make([]byte, 2))
			check(err)
			return conn
		},
	}
}

func ours(program string) kind {
	granted := "{\"ok\":true}\n"
	ask := func(socket, request string) net.Conn {
		conn := dialUnix(socket)
		_, err := conn.Write([]byte(request + "\n"))
		check(err)
		_, err = io.ReadFull(conn, make([]byte, len(granted)))
		check(err)
		return conn
	}
	return kind{
		name: "ours",
		start: func(folder string) *exec.Cmd {
			command := exec.Command(program, "run", "bench")
			command.Stdin = strings.NewReader(fmt.Sprintf(`{"network":"bench","socket":"%s/n.sock","subnet":"10.77.0.0/24","gateway":"%s","mtu":%d,"names":{"db.hypr":["10.77.0.9"]}}`, folder, gatewayIP, mtu))
			null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
			check(err)
			command.ExtraFiles = []*os.File{null}
			return command
		},
		nic: func(socket string, m machine) net.Conn {
			conn := ask(socket, fmt.Sprintf(`{"op":"nic","nic":{"name":"%s","mac":"%s","addresses":["%s"]}}`, m.name, m.mac, m.ip))
			_, err := conn.Write([]byte("\n"))
			check(err)
			return conn
		},
		tunnel: func(socket, ip string, port int) net.Conn {
			return ask(socket, fmt.Sprintf(`{"op":"tcp","to":"%s:%d"}`, ip, port))
		},
	}
}

// inside runs work on a thread in the machine's namespace. Sockets that it makes stay there.
func inside(m machine, work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		f, err := os.Open("/var/run/netns/" + m.name)
		check(err)
		defer f.Close()
		if _, _, errno := syscall.RawSyscall(setns, f.Fd(), syscall.CLONE_NEWNET, 0); errno != 0 {
			panic(errno)
		}
		work()
	}()
	<-done
}

// attach makes the machine's TAP and carries its frames.
func attach(m machine, wire net.Conn) {
	run("ip", "netns", "add", m.name)
	var tap *os.File
	inside(m, func() {
		fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		check(err)
		var request struct {
			name  [16]byte
			flags uint16
			_     [22]byte
		}
		copy(request.name[:], "eth0")
		request.flags = 2 | 0x1000 // TAP, no packet information
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), 0x400454ca, uintptr(unsafe.Pointer(&request))); errno != 0 {
			panic(errno)
		}
		tap = os.NewFile(uintptr(fd), "tap")
	})
	ip := func(args ...string) { run("ip", append([]string{"-n", m.name}, args...)...) }
	ip("link", "set", "lo", "up")
	ip("link", "set", "eth0", "address", m.mac, "mtu", strconv.Itoa(mtu))
	ip("addr", "add", m.ip+"/24", "dev", "eth0")
	ip("link", "set", "eth0", "up", "txqueuelen", "1000")
	ip("route", "add", "default", "via", gatewayIP)
	go func() {
		buf := make([]byte, 4+70000)
		for {
			n, err := tap.Read(buf[4:])
			if err != nil {
				return
			}
			binary.BigEndian.PutUint32(buf, uint32(n))
			if _, err := wire.Write(buf[:4+n]); err != nil {
				return
			}
		}
	}()
	go func() {
		defer tap.Close()
		buf := make([]byte, 70000)
		reader := newReader(wire)
		for {
			if _, err := io.ReadFull(reader, buf[:4]); err != nil {
				return
			}
			n := binary.BigEndian.Uint32(buf)
			if _, err := io.ReadFull(reader, buf[:n]); err != nil {
				return
			}
			_, _ = tap.Write(buf[:n])
		}
	}()
}

type setup struct {
	kind   kind
	socket string
	pid    int
	host   string // an address of this host that machines reach
}

func listenIn(m *machine, address string) net.Listener {
	var listener net.Listener
	listen := func() {
		var err error
		listener, err = net.Listen("tcp4", address)
		check(err)
	}
	if m == nil {
		listen()
	} else {
		inside(*m, listen)
	}
	return listener
}

func dialIn(m machine, address string) net.Conn {
	var conn net.Conn
	inside(m, func() {
		var err error
		conn, err = net.DialTimeout("tcp4", address, 10*time.Second)
		check(err)
	})
	return conn
}

// serve answers each connection by its first byte: s sinks, e echoes.
func serve(listener net.Listener, received *atomic.Int64) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			what := make([]byte, 1)
			if _, err := io.ReadFull(conn, what); err != nil {
				return
			}
			if what[0] == 'e' {
				_, _ = io.Copy(conn, conn)
				return
			}
			buf := make([]byte, 1<<20)
			for {
				n, err := conn.Read(buf)
				received.Add(int64(n))
				if err != nil {
					return
				}
			}
		}()
	}
}

const transfer = 2 * time.Second

// throughput gives Gbit/s of one connection.
func throughput(conn net.Conn, received *atomic.Int64) float64 {
	defer conn.Close()
	_, err := conn.Write([]byte("s"))
	check(err)
	buf := make([]byte, 1<<20)
	stop := time.Now().Add(transfer)
	go func() {
		for time.Now().Before(stop) {
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
	}()
	time.Sleep(transfer / 10)
	before, begin := received.Load(), time.Now()
	time.Sleep(transfer * 8 / 10)
	return float64(received.Load()-before) * 8 / time.Since(begin).Seconds() / 1e9
}

// latency gives the median round trip of one byte in microseconds.
func latency(conn net.Conn) float64 {
	defer conn.Close()
	_, err := conn.Write([]byte("e"))
	check(err)
	var list []float64
	one := make([]byte, 1)
	for range 1000 {
		begin := time.Now()
		_, err := conn.Write(one)
		check(err)
		_, err = io.ReadFull(conn, one)
		check(err)
		list = append(list, float64(time.Since(begin).Nanoseconds())/1000)
	}
	sort.Float64s(list)
	return list[len(list)/2]
}

// rate gives connections per second that were opened, used for one byte each way, and closed.
func rate(workers int, dial func() net.Conn) float64 {
	var count atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	stop := begin.Add(transfer)
	for range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(stop) {
				conn := dial()
				_, err := conn.Write([]byte("e1"))
				if err == nil {
					_, err = io.ReadFull(conn, make([]byte, 1))
				}
				_ = conn.Close()
				if err == nil {
					count.Add(1)
				}
			}
		}()
	}
	all.Wait()
	return float64(count.Load()) / time.Since(begin).Seconds()
}

// dialer makes connections in a namespace on threads that stay there.
func dialer(m machine, address string) func() net.Conn {
	requests, answers := make(chan struct{}), make(chan net.Conn)
	for range 8 {
		go inside(m, func() {
			for range requests {
				conn, err := net.DialTimeout("tcp4", address, 10*time.Second)
				check(err)
				if tcp, ok := conn.(*net.TCPConn); ok {
					_ = tcp.SetLinger(0) // no TIME_WAIT: ports of the namespace last
				}
				answers <- conn
			}
		})
	}
	return func() net.Conn {
		requests <- struct{}{}
		return <-answers
	}
}

func concurrent(dial func() net.Conn) float64 {
	begin := time.Now()
	var all sync.WaitGroup
	conns := make([]net.Conn, 1000)
	for i := range conns {
		conns[i] = dial()
	}
	for _, conn := range conns {
		all.Add(1)
		go func() {
			defer all.Done()
			data := []byte("e" + strings.Repeat("x", 4096))
			_, err := conn.Write(data)
			check(err)
			_, err = io.ReadFull(conn, data[1:])
			check(err)
		}()
	}
	all.Wait()
	took := time.Since(begin).Seconds()
	for _, conn := range conns {
		_ = conn.Close()
	}
	return took
}

// names gives answers per second and the share of questions that got none.
func names(m machine) (float64, float64) {
	query := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'd', 'b', 4, 'h', 'y', 'p', 'r', 0, 0, 1, 0, 1}
	var answered, lost atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for range 16 {
		all.Add(1)
		go inside(m, func() {
			defer all.Done()
			conn, err := net.Dial("udp4", gatewayIP+":53")
			check(err)
			defer conn.Close()
			buf := make([]byte, 512)
			for time.Since(begin) < transfer {
				_, err := conn.Write(query)
				check(err)
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				if n, err := conn.Read(buf); err != nil || n < 40 {
					lost.Add(1)
				} else {
					answered.Add(1)
				}
			}
		})
	}
	all.Wait()
	total := float64(answered.Load() + lost.Load())
	return float64(answered.Load()) / time.Since(begin).Seconds(), 100 * float64(lost.Load()) / total
}

func memory(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(err)
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	check(err)
	return kib / 1024
}

func cpu(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	check(err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

func measure(s setup, note func(name, unit string, value float64)) {
	var received atomic.Int64
	inGuest := listenIn(&second, second.ip+":5001")
	outside := listenIn(nil, s.host+":0")
	defer inGuest.Close()
	defer outside.Close()
	go serve(inGuest, &received)
	go serve(outside, &received)
	tunnel := func() net.Conn { return s.kind.tunnel(s.socket, second.ip, 5001) }
	note("idle memory", "MiB", memory(s.pid))
	note("machine to machine", "Gbit/s", throughput(dialIn(first, second.ip+":5001"), &received))
	note("machine to outside", "Gbit/s", throughput(dialIn(first, outside.Addr().String()), &received))
	note("host to machine (published port)", "Gbit/s", throughput(tunnel(), &received))
	note("machine to machine, round trip", "us", latency(dialIn(first, second.ip+":5001")))
	note("machine to outside, round trip", "us", latency(dialIn(first, outside.Addr().String())))
	note("host to machine, round trip", "us", latency(tunnel()))
	note("machine to outside, connections", "1/s", rate(8, dialer(first, outside.Addr().String())))
	note("machine to machine, connections", "1/s", rate(8, dialer(first, second.ip+":5001")))
	note("host to machine, connections", "1/s", rate(8, tunnel))
	note("1000 connections at a time to outside", "s", concurrent(dialer(first, outside.Addr().String())))
	note("1000 connections at a time to machine", "s", concurrent(tunnel))
	answers, lost := names(first)
	note("names answered", "1/s", answers)
	note("names lost", "%", lost)
	note("memory at the end", "MiB", memory(s.pid))
	note("processor time", "s", cpu(s.pid))
	strain(s, second.ip+":5001", tunnel, note)
}

func outerAddress() string {
	list, err := net.InterfaceAddrs()
	check(err)
	for _, each := range list {
		if prefix, ok := each.(*net.IPNet); ok && prefix.IP.To4() != nil && !prefix.IP.IsLoopback() {
			return prefix.IP.String()
		}
	}
	panic("this host has no address but its loopback's")
}

func newReader(r io.Reader) io.Reader { return &buffered{r: r, buf: make([]byte, 1<<18)} }

type buffered struct {
	r          io.Reader
	buf        []byte
	begin, end int
}

func (b *buffered) Read(to []byte) (int, error) {
	if b.begin == b.end {
		n, err := b.r.Read(b.buf)
		if err != nil {
			return 0, err
		}
		b.begin, b.end = 0, n
	}
	n := copy(to, b.buf[b.begin:b.end])
	b.begin += n
	return n, nil
}

func once(k kind, host string, note func(name, unit string, value float64)) {
	folder, err := os.MkdirTemp("", "gwb")
	check(err)
	defer os.RemoveAll(folder)
	command := k.start(folder)
	check(command.Start())
	socket := filepath.Join(folder, "n.sock")
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		for _, m := range []machine{first, second} {
			_ = exec.Command("ip", "netns", "del", m.name).Run()
		}
		time.Sleep(200 * time.Millisecond)
	}()
	for _, m := range []machine{first, second} {
		attach(m, k.nic(socket, m))
	}
	measure(setup{k, socket, command.Process.Pid, host}, note)
}

func main() {
	stockPath := flag.String("stock", "", "gvproxy 0.8.9, to compare with")
	oursPath := flag.String("ours", "", "the program of net/gateway")
	rounds := flag.Int("rounds", 3, "how often each is measured")
	flag.Parse()
	kinds := []kind{ours(*oursPath)}
	if *stockPath != "" {
		kinds = []kind{stock(*stockPath), ours(*oursPath)}
	}
	values := map[string][]float64{}
	var order []string
	for range *rounds {
		for _, k := range kinds {
			once(k, outerAddress(), func(name, unit string, value float64) {
				key := name + "|" + unit + "|" + k.name
				if !slices.Contains(order, key) {
					order = append(order, key)
				}
				values[key] = append(values[key], value)
			})
		}
	}
	sort.Strings(order)
	for _, key := range order {
		list := values[key]
		sort.Float64s(list)
		part := strings.Split(key, "|")
		line, _ := json.Marshal(map[string]any{"name": part[0], "unit": part[1], "gateway": part[2], "median": list[len(list)/2], "min": list[0], "max": list[len(list)-1], "runs": len(list)})
		fmt.Println(string(line))
	}
}
