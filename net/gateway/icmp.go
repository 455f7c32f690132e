package main

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// pingTable holds the sockets for a machine's echo requests.
type pingTable struct {
	mu    sync.Mutex
	flows map[pingKey]*os.File
}

type pingKey struct {
	from, to netip.Addr
	ident    uint16
}

const (
	maxPings = 64
	pingIdle = 10 * time.Second
)

// echo forwards an echo request, so that a reply means that the destination really answered. If the host does not let this
// user send any (net.ipv4.ping_group_range), or a rule forbids it, the machine gets "unreachable".
func (g *gateway) echo(p *port, ip []byte) {
	size := int(ip[0]&15) * 4
	if len(ip) < size+8 {
		return
	}
	message := ip[size:]
	from, to := netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	key := pingKey{from, to, binary.BigEndian.Uint16(message[4:6])}
	dial, why := g.mayLeave(p, "icmp", netip.AddrPortFrom(to, 0))
	if why != "" || !g.ping(p, key, dial.Addr(), message) {
		g.unreachable(from, ip[:size+8])
	}
}

func (g *gateway) ping(p *port, key pingKey, to netip.Addr, message []byte) bool {
	p.pings.mu.Lock()
	defer p.pings.mu.Unlock()
	file := p.pings.flows[key]
	if file == nil {
		if len(p.pings.flows) >= maxPings {
			p.limited.Add(1)
			g.events.limited(p, "echo requests")
			return true
		}
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, syscall.IPPROTO_ICMP)
		if err != nil {
			return false
		}
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: to.As4()}); err != nil {
			_ = syscall.Close(fd)
			return false
		}
		file = os.NewFile(uintptr(fd), "ping")
		if p.pings.flows == nil {
			p.pings.flows = make(map[pingKey]*os.File)
		}
		p.pings.flows[key] = file
		go g.echoes(p, key, file)
	}
	_ = file.SetReadDeadline(time.Now().Add(pingIdle))
	_, err := file.Write(message)
	return err == nil
}

func (g *gateway) echoes(p *port, key pingKey, file *os.File) {
	buf := make([]byte, 64<<10)
	for {
		n, err := file.Read(buf)
		if err != nil {
			p.pings.mu.Lock()
			delete(p.pings.flows, key)
			p.pings.mu.Unlock()
			_ = file.Close()
			return
		}
		if n >= 8 && buf[0] == 0 {
			binary.BigEndian.PutUint16(buf[4:6], key.ident) // the host replaced it by its own
			g.sendICMP(key.to, key.from, buf[:n])
		}
	}
}

// unreachable sends "administratively prohibited" (RFC 1812), with the beginning of the packet.
func (g *gateway) unreachable(to netip.Addr, original []byte) {
	g.sendICMP(g.config.Gateway, to, append([]byte{3, 13, 0, 0, 0, 0, 0, 0}, original...))
}

func (g *gateway) sendICMP(from, to netip.Addr, message []byte) {
	binary.BigEndian.PutUint16(message[2:], 0)
	binary.BigEndian.PutUint16(message[2:], ^checksum.Checksum(message, 0))
	send(g.stack, from, to, header.ICMPv4ProtocolNumber, 8, func(_ *stack.Route, pkt *stack.PacketBuffer) {
		copy(pkt.TransportHeader().Push(8), message[:8])
	}, message[8:])
}
