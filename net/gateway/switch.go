package main

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// vswitch forwards frames between the NICs of a network and its gateway. It does not learn addresses: every NIC is
// registered with its MAC and addresses, and frames that claim others are dropped.
type vswitch struct {
	config  *Config
	mu      sync.Mutex
	table   atomic.Pointer[table]
	gateway macAddr
	toStack func(*port, uint16, []byte)
	// toEdge takes frames between machines that are for a supervisor.
	toEdge   func([]byte) bool
	events   *events
	captures captures
}

type table struct {
	byMAC map[macAddr]*port
	byIP  map[netip.Addr]*port
}

const (
	ethernetSize = 14
	typeIPv4     = 0x0800
	typeARP      = 0x0806
	typeIPv6     = 0x86dd
)

func newSwitch(c *Config, e *events) *vswitch {
	s := &vswitch{config: c, gateway: macAddr{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd}, events: e}
	s.table.Store(&table{})
	return s
}

// add registers a NIC. It replaces one with the same MAC or address: the supervisor is the authority.
func (s *vswitch) add(p *port) {
	s.replace(func(old *port) bool {
		taken := old.mac == p.mac
		for _, addr := range old.spec.Addresses {
			taken = taken || p.owns(addr)
		}
		return taken
	}, p)
}

func (s *vswitch) remove(p *port) { s.replace(func(old *port) bool { return old == p }, nil) }

func (s *vswitch) replace(drop func(*port) bool, added *port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := &table{byMAC: make(map[macAddr]*port), byIP: make(map[netip.Addr]*port)}
	keep := func(p *port) {
		next.byMAC[p.mac] = p
		for _, addr := range append(p.spec.Addresses, p.linkLocal) {
			next.byIP[addr] = p
		}
	}
	for _, old := range s.table.Load().byMAC {
		if drop(old) {
			_ = old.conn.Close()
			old.out.close()
		} else {
			keep(old)
		}
	}
	if added != nil {
		keep(added)
	}
	s.table.Store(next)
}

func (s *vswitch) ports() map[macAddr]*port { return s.table.Load().byMAC }

// ingress handles a frame from a machine and takes ownership of it.
func (s *vswitch) ingress(p *port, f *frame) {
	eth := f.buf[4:]
	if len(eth) < ethernetSize {
		f.put()
		return
	}
	s.captures.see(eth)
	if macAddr(eth[6:12]) != p.mac {
		s.spoofed(p, f, "mac")
		return
	}
	switch binary.BigEndian.Uint16(eth[12:14]) {
	case typeARP:
		s.arp(p, f)
	case typeIPv4:
		s.ipv4(p, f)
	case typeIPv6:
		s.ipv6(p, f)
	default:
		s.spoofed(p, f, "ethertype")
	}
}

func (s *vswitch) spoofed(p *port, f *frame, what string) {
	p.spoofed.Add(1)
	s.events.refused(p, "frame", netip.AddrPort{}, "spoofed "+what, "")
	f.put()
}

func (s *vswitch) ipv4(p *port, f *frame) {
	ip := f.buf[4+ethernetSize:]
	if len(ip) < 20 || ip[0]>>4 != 4 || !p.owns(netip.AddrFrom4([4]byte(ip[12:16]))) {
		s.spoofed(p, f, "address")
		return
	}
	if macAddr(f.buf[4:10]) == s.gateway {
		s.toStack(p, typeIPv4, ip)
		f.put()
		return
	}
	s.forward(p, f)
}

func (s *vswitch) ipv6(p *port, f *frame) {
	ip := f.buf[4+ethernetSize:]
	if !s.config.Subnet6.IsValid() {
		f.put() // this network has no IPv6; guests try it anyway, so it is not reported
		return
	}
	if len(ip) < 40 || ip[0]>>4 != 6 {
		s.spoofed(p, f, "address")
		return
	}
	if ip[6] == 58 && len(ip) >= 44 && ip[40] >= 133 && ip[40] <= 137 {
		s.neighbour(p, f, ip)
		return
	}
	if hidesNeighbour(ip) {
		s.spoofed(p, f, "neighbour")
		return
	}
	if !p.owns(netip.AddrFrom16([16]byte(ip[8:24]))) {
		s.spoofed(p, f, "address")
		return
	}
	if macAddr(f.buf[4:10]) == s.gateway {
		s.toStack(p, typeIPv6, ip)
		f.put()
		return
	}
	s.forward(p, f)
}

// hidesNeighbour says whether extension headers (RFC 8200, section 4) precede a message of neighbour discovery, where hosts accept it,
// too, or end before what they precede: a first fragment has all of them (RFC 7112), and its message may not go on in a second (RFC 6980).
func hidesNeighbour(ip []byte) bool {
	next, rest := ip[6], ip[40:]
	for {
		size := 8
		switch next {
		case 58:
			return next != ip[6] && (len(rest) == 0 || rest[0] >= 133 && rest[0] <= 137)
		case 0, 43, 60, 135, 139, 140: // options, routing, mobility and the like
			if len(rest) >= 2 {
				size += int(rest[1]) * 8
			}
		case 44: // a fragment
			if len(rest) >= 4 && binary.BigEndian.Uint16(rest[2:4])&^7 != 0 {
				return false // a later one: the first has the type
			}
		case 51: // authentication
			if len(rest) >= 2 {
				size = int(rest[1])*4 + 8
			}
		default:
			return false
		}
		if len(rest) < size {
			return true
		}
		next, rest = rest[0], rest[size:]
	}
}

// forward sends a frame on to another machine, or to all others.
func (s *vswitch) forward(p *port, f *frame) {
	eth := f.buf[4:]
	if s.toEdge(eth) {
		f.put()
		return
	}
	if !s.mayReach(p, eth) {
		f.put()
		return
	}
	if eth[0]&1 != 0 {
		s.flood(p, f)
	} else if to := s.table.Load().byMAC[macAddr(eth[0:6])]; to != nil && to != p {
		to.out.put(f, true)
	} else {
		f.put()
	}
}

func (s *vswitch) flood(p *port, f *frame) {
	if !p.floods.take(time.Now()) {
		p.limited.Add(1)
		s.events.limited(p, "broadcasts")
		f.put()
		return
	}
	for _, to := range s.table.Load().byMAC {
		if to != p {
			to.out.put(f.clone(), false)
		}
	}
	f.put()
}

// mayReach applies the rules between machines. For TCP only segments that open a connection are checked; answers to
// datagrams pass for a while.
func (s *vswitch) mayReach(p *port, eth []byte) bool {
	to := s.table.Load().byMAC[macAddr(eth[0:6])]
	mine := p.peers.Load()
	if mine == nil {
		return true
	}
	protocol, src, dst, opens := describe(eth)
	if protocol == "" {
		return false
	}
	if !opens || mine.Allows(protocol, dst, nil) {
		if to != nil && protocol == "udp" {
			to.replies.expect(src, dst)
		}
		return true
	}
	if protocol == "udp" && p.replies.expected(src, dst) {
		return true
	}
	p.refused.Add(1)
	s.events.refused(p, protocol, dst, "peers", "")
	return false
}

// describe reads the addresses of a packet, and whether it may open a connection. The protocol is empty if it is not known,
// as for a later fragment or a malformed header.
func describe(eth []byte) (protocol string, src, dst netip.AddrPort, opens bool) {
	ip := eth[ethernetSize:]
	var number byte
	var from, to netip.Addr
	var body []byte
	if binary.BigEndian.Uint16(eth[12:14]) == typeIPv4 {
		size := int(ip[0]&15) * 4
		fragment := binary.BigEndian.Uint16(ip[6:8]) & 0x1fff
		if size < 20 || len(ip) < size || fragment != 0 && fragment*8 < 60 {
			return "", src, dst, true
		}
		number, from, to, body = ip[9], netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20])), ip[size:]
		if fragment != 0 {
			return "fragment", netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0), false
		}
	} else {
		number, from, to, body = ip[6], netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40])), ip[40:]
	}
	switch {
	case number == 6 && len(body) >= 20:
		opens = body[13]&0x14 == 0 // no ACK, which answers have, also the first; and no reset
		protocol = "tcp"
	case number == 17 && len(body) >= 8:
		protocol, opens = "udp", true
	case number == 1 || number == 58:
		// Only requests open something; replies and errors do not.
		return "icmp", netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0), len(body) == 0 || body[0] == 8 || body[0] == 128
	default:
		return "", src, dst, true
	}
	return protocol, netip.AddrPortFrom(from, binary.BigEndian.Uint16(body[0:2])), netip.AddrPortFrom(to, binary.BigEndian.Uint16(body[2:4])), opens
}
