// What a gateway is like under strain: questions at a set rate, flows without end, machines that do not read and hosts that do not answer.
package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// third is stopped, as a machine whose VMM got SIGSTOP: it has a card and reads nothing.
var third = machine{"gwb3", "10.77.0.13", "02:00:00:00:07:13"}

const (
	asked      = 10_000 // questions in a second
	askers     = 20
	flows      = 25_000
	stuckDials = 10
)

// askAtRate sends questions at a fixed rate, whatever is answered, and gives the share that got no answer within two seconds, in percent,
// and how many were asked per second: fewer than wanted say that this host is too slow to ask.
func askAtRate(m machine) (float64, float64) {
	query := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'd', 'b', 4, 'h', 'y', 'p', 'r', 0, 0, 1, 0, 1}
	var sent, answered atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for range askers {
		all.Add(1)
		go inside(m, func() {
			defer all.Done()
			conn, err := net.Dial("udp4", gatewayIP+":53")
			check(err)
			defer conn.Close()
			go func() {
				for i := range int(transfer.Seconds()) * asked / askers {
					time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second * askers / asked)))
					if _, err := conn.Write(query); err == nil {
						sent.Add(1)
					}
				}
			}()
			buf := make([]byte, 512)
			for {
				_ = conn.SetReadDeadline(begin.Add(transfer + 2*time.Second))
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				if n >= 40 {
					answered.Add(1)
				}
			}
		})
	}
	all.Wait()
	total := float64(sent.Load())
	return 100 * (total - float64(answered.Load())) / total, total / transfer.Seconds()
}

// flood sends a datagram from each of 25,000 ports to the same address outside, and gives the most memory that the gateway has had since.
func flood(m machine, host string, pid int) float64 {
	sink, err := net.ListenPacket("udp4", host+":0")
	check(err)
	defer sink.Close()
	most := 0.0
	inside(m, func() {
		to := sink.LocalAddr().(*net.UDPAddr)
		for flow := range flows {
			conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(m.ip), Port: 10_000 + flow}, to)
			check(err)
			_, _ = conn.Write([]byte("x"))
			_ = conn.Close()
			if flow%1000 == 999 {
				most = max(most, memory(pid))
			}
		}
	})
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		most = max(most, memory(pid))
	}
	return most
}

// besideTrouble runs work while a machine that reads nothing is sent datagrams, and ten connections wait for hosts that do not answer.
func besideTrouble(s setup, work func()) {
	wire := s.kind.nic(s.socket, third)
	defer wire.Close()
	run("ip", "-n", first.name, "neigh", "replace", third.ip, "lladdr", third.mac, "dev", "eth0")
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Add(1)
	go inside(first, func() {
		defer all.Done()
		conn, err := net.Dial("udp4", third.ip+":9")
		check(err)
		defer conn.Close()
		data := make([]byte, 8192)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_, _ = conn.Write(data)
			}
		}
	})
	for range stuckDials {
		all.Add(1)
		go inside(first, func() {
			defer all.Done()
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
			check(err)
			defer syscall.Close(fd)
			// TEST-NET-3 (RFC 5737): nobody answers.
			_ = syscall.Connect(fd, &syscall.SockaddrInet4{Port: 80, Addr: [4]byte{203, 0, 113, 80}})
			<-stop
		})
	}
	time.Sleep(transfer / 2) // until queues are full and dials wait
	work()
	close(stop)
	all.Wait()
}

// slowest gives the longest of 100 exchanges of one byte, each over a new connection, in microseconds.
func slowest(dial func() net.Conn) float64 {
	var list []float64
	one := make([]byte, 1)
	for range 100 {
		begin := time.Now()
		conn := dial()
		_, err := conn.Write([]byte("e1"))
		check(err)
		_, err = io.ReadFull(conn, one)
		check(err)
		list = append(list, float64(time.Since(begin).Microseconds()))
		_ = conn.Close()
	}
	return slices.Max(list)
}

// strain notes what comes last, because it leaves the gateway with thousands of flows.
func strain(s setup, address string, tunnel func() net.Conn, note func(name, unit string, value float64)) {
	lost, rate := askAtRate(first)
	note(fmt.Sprintf("%d questions a second, asked", asked), "1/s", rate)
	note(fmt.Sprintf("%d questions a second, lost", asked), "%", lost)
	note("machine to machine, slowest of 100 connections", "us", slowest(dialer(first, address)))
	note("host to machine, slowest of 100 connections", "us", slowest(tunnel))
	besideTrouble(s, func() {
		note("the same, beside a stopped machine and 10 stuck dials: machine to machine", "us", slowest(dialer(first, address)))
		note("the same, beside a stopped machine and 10 stuck dials: host to machine", "us", slowest(tunnel))
		note("the same, beside a stopped machine and 10 stuck dials: round trip", "us", latency(dialIn(first, address)))
	})
	note(fmt.Sprintf("%d datagram flows: most memory", flows), "MiB", flood(first, s.host, s.pid))
}
