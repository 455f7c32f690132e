package main

import (
	"encoding/binary"
	"net/netip"
)

// serves says whether the gateway answers for an address when this machine asks.
func (s *vswitch) serves(p *port, addr netip.Addr) bool {
	return addr == s.config.Gateway || addr == s.config.Gateway6 || (addr == s.config.Host && p.spec.Host) || addr == linkLocalOf(s.gateway)
}

// arp answers for the gateway, forwards a request to the machine it is about, and drops packets that claim another's address.
func (s *vswitch) arp(p *port, f *frame) {
	eth := f.buf[4:]
	a := eth[ethernetSize:]
	if len(a) < 28 || binary.BigEndian.Uint32(a[0:4]) != 0x0001_0800 || a[4] != 6 || a[5] != 4 {
		s.spoofed(p, f, "arp")
		return
	}
	sender, target := netip.AddrFrom4([4]byte(a[14:18])), netip.AddrFrom4([4]byte(a[24:28]))
	// A sender of zeros asks whether an address is free (RFC 5227).
	if macAddr(a[8:14]) != p.mac || !(p.owns(sender) || sender.IsUnspecified()) {
		s.spoofed(p, f, "arp")
		return
	}
	request := binary.BigEndian.Uint16(a[6:8]) == 1
	switch {
	case request && s.serves(p, target):
		s.answerARP(p, target, sender)
		f.put()
	case sender == target:
		s.flood(p, f) // an announcement is for everybody
	default:
		if to := s.table.Load().byIP[target]; to != nil && to != p {
			to.out.put(f, false)
			return
		}
		f.put()
	}
}

func (s *vswitch) answerARP(p *port, target, sender netip.Addr) {
	f := newEthernet(p.mac, s.gateway, typeARP, 28)
	a := f.buf[4+ethernetSize:]
	copy(a, []byte{0, 1, 8, 0, 6, 4, 0, 2})
	from, to := target.As4(), sender.As4()
	copy(a[8:], s.gateway[:])
	copy(a[14:], from[:])
	copy(a[18:], p.mac[:])
	copy(a[24:], to[:])
	s.egress(p, f)
}

// neighbour is the same for IPv6 (RFC 4861). No machine may send router messages and redirects.
func (s *vswitch) neighbour(p *port, f *frame, ip []byte) {
	kind := ip[40]
	src := netip.AddrFrom16([16]byte(ip[8:24]))
	if !p.owns(src) && !(src.IsUnspecified() && kind == 135) || (kind != 135 && kind != 136 && kind != 133) || ip[7] != 255 {
		s.spoofed(p, f, "neighbour")
		return
	}
	if kind == 133 || len(ip) < 64 {
		f.put() // there are no router advertisements: machines get their addresses from the supervisor
		return
	}
	target := netip.AddrFrom16([16]byte(ip[48:64]))
	switch {
	case kind == 136 && !p.owns(target), !optionsName(ip[64:], p.mac):
		s.spoofed(p, f, "neighbour")
	case kind == 135 && s.serves(p, target):
		s.answerNeighbour(p, target, src)
		f.put()
	case kind == 136 && macAddr(f.buf[4:10]) == s.gateway:
		f.put()
	case kind == 136:
		s.forwardNeighbour(p, f)
	default:
		if to := s.table.Load().byIP[target]; to != nil && to != p {
			to.out.put(f, false)
			return
		}
		f.put()
	}
}

func (s *vswitch) forwardNeighbour(p *port, f *frame) {
	if f.buf[4]&1 != 0 {
		s.flood(p, f)
	} else if to := s.table.Load().byMAC[macAddr(f.buf[4:10])]; to != nil && to != p {
		to.out.put(f, false)
	} else {
		f.put()
	}
}

// optionsName checks that the link-layer options of a message name no other NIC.
func optionsName(options []byte, own macAddr) bool {
	for len(options) >= 8 {
		size := int(options[1]) * 8
		if size == 0 || size > len(options) {
			return false
		}
		if (options[0] == 1 || options[0] == 2) && macAddr(options[2:8]) != own {
			return false
		}
		options = options[size:]
	}
	return len(options) == 0
}

func (s *vswitch) answerNeighbour(p *port, target, asker netip.Addr) {
	to := asker
	if asker.IsUnspecified() {
		to = netip.MustParseAddr("ff02::1")
	}
	f := newEthernet(p.mac, s.gateway, typeIPv6, 72)
	ip := f.buf[4+ethernetSize:]
	copy(ip, []byte{0x60, 0, 0, 0, 0, 32, 58, 255})
	from, dest := target.As16(), to.As16()
	copy(ip[8:], from[:])
	copy(ip[24:], dest[:])
	m := ip[40:]
	copy(m, []byte{136, 0, 0, 0, 0xe0, 0, 0, 0}) // flags: router, solicited, override
	copy(m[8:], from[:])
	copy(m[24:], []byte{2, 1})
	copy(m[26:], s.gateway[:])
	binary.BigEndian.PutUint16(m[2:], checksum6(ip[8:40], 58, m))
	s.egress(p, f)
}

func checksum6(addresses []byte, protocol byte, body []byte) uint16 {
	sum := uint32(protocol) + uint32(len(body))
	for _, part := range [][]byte{addresses, body} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// newEthernet begins a frame from the gateway; its payload is zeros.
func newEthernet(to, from macAddr, kind uint16, size int) *frame {
	f := getFrame(4 + ethernetSize + size)
	clear(f.buf)
	binary.BigEndian.PutUint32(f.buf, uint32(ethernetSize+size))
	copy(f.buf[4:], to[:])
	copy(f.buf[10:], from[:])
	binary.BigEndian.PutUint16(f.buf[16:], kind)
	return f
}

// egress sends a frame of the gateway to a machine; it is dropped if the machine does not read.
func (s *vswitch) egress(p *port, f *frame) {
	s.captures.see(f.buf[4:])
	p.out.put(f, false)
}
