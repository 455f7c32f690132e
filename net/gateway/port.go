package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hypr/gateway/policy"
)

type macAddr [6]byte

var broadcastMAC = macAddr{255, 255, 255, 255, 255, 255}

// NicSpec registers a machine's NIC: its identity, and its permissions.
type NicSpec struct {
	Name      string       `json:"name"`
	MAC       string       `json:"mac"`
	Addresses []netip.Addr `json:"addresses"`
	// Host lets the machine reach the host's loopback under the network's host address.
	Host   bool         `json:"host"`
	Egress *policy.Spec `json:"egress"`
	// Peers are the machines of the network that it may open connections to.
	Peers *policy.Spec `json:"peers"`
}

type port struct {
	spec      NicSpec
	mac       macAddr
	linkLocal netip.Addr
	conn      net.Conn
	out       *queue
	egress    atomic.Pointer[policy.Policy]
	peers     atomic.Pointer[policy.Policy]
	learned   policy.Learned
	floods    bucket
	replies   replies

	tcpMu                      sync.Mutex
	tcp                        map[*tcpFlow]struct{}
	tunnels                    map[*tcpFlow]struct{} // connections of the host to the machine, which no policy is about
	gone                       bool
	udp                        udpTable
	dials, questions, dnsConns atomic.Int32
	pings                      pingTable

	received, tcpOpened, udpOpened, spoofed, refused, limited atomic.Uint64
}

func newPort(spec NicSpec, conn net.Conn, c *Config) (*port, error) {
	hardware, err := net.ParseMAC(spec.MAC)
	if err != nil || len(hardware) != 6 || hardware[0]&1 != 0 {
		return nil, fmt.Errorf("%q is not the MAC address of a NIC", spec.MAC)
	}
	p := &port{spec: spec, mac: macAddr(hardware), conn: conn, out: newQueue(c.Limits.QueueBytes), tcp: make(map[*tcpFlow]struct{}), tunnels: make(map[*tcpFlow]struct{})}
	p.linkLocal = linkLocalOf(p.mac)
	p.floods = bucket{rate: 200, burst: 400}
	for _, addr := range spec.Addresses {
		if !c.inside(addr) || addr == c.Gateway || addr == c.Gateway6 || addr == c.Host {
			return nil, fmt.Errorf("%v is not an address for a machine of this network", addr)
		}
	}
	return p, p.setPolicies(spec.Egress, spec.Peers)
}

func (p *port) setPolicies(egress, peers *policy.Spec) error {
	out, err := policy.Compile(egress)
	if err != nil {
		return err
	}
	in, err := policy.Compile(peers)
	if err != nil {
		return err
	}
	p.egress.Store(out)
	p.peers.Store(in)
	return nil
}

func (p *port) owns(addr netip.Addr) bool {
	for _, own := range p.spec.Addresses {
		if own == addr {
			return true
		}
	}
	return addr == p.linkLocal
}

// linkLocalOf is the IPv6 link-local address derived from a NIC's MAC (RFC 4291 appendix A).
func linkLocalOf(m macAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

var errFrame = errors.New("a frame is too long")

// read passes every frame of a machine's stream to the switch until the stream ends.
func (p *port) read(r io.Reader, deliver func(*port, *frame)) error {
	reader := bufio.NewReaderSize(r, 256<<10)
	var head [4]byte
	for {
		if _, err := io.ReadFull(reader, head[:]); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(head[:])
		if size > largeFrame-4 {
			return errFrame
		}
		f := getFrame(4 + int(size))
		copy(f.buf, head[:])
		if _, err := io.ReadFull(reader, f.buf[4:]); err != nil {
			return err
		}
		p.received.Add(uint64(size))
		deliver(p, f)
	}
}

// bucket is a rate limit (token bucket).
type bucket struct {
	mu          sync.Mutex
	rate, burst float64
	level       float64
	last        time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.level = max(0, b.level-now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	if b.level+1 > b.burst {
		return false
	}
	b.level++
	return true
}

// replies remembers datagrams that a machine sent to others, so that answers pass where not everything is allowed.
type replies struct {
	mu    sync.Mutex
	until map[[2]netip.AddrPort]time.Time
}

const (
	maxReplies = 4096
	replyTime  = time.Minute
)

func (r *replies) expect(from, to netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil || len(r.until) >= maxReplies {
		r.until = make(map[[2]netip.AddrPort]time.Time)
	}
	r.until[[2]netip.AddrPort{from, to}] = time.Now().Add(replyTime)
}

func (r *replies) expected(from, to netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.until[[2]netip.AddrPort{to, from}].After(time.Now())
}
