package main

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

type udpKey struct{ from, to netip.AddrPort }

// udpFlow is the host socket for the datagrams of one port of a machine to one destination.
type udpFlow struct {
	key   udpKey
	conn  *net.UDPConn
	raw   syscall.RawConn
	place *list.Element
	last  atomic.Int64
}

// udpTable holds a machine's flows; if it is full, the least recently used one is dropped.
type udpTable struct {
	mu    sync.Mutex
	flows map[udpKey]*udpFlow
	order list.List
}

func (g *gateway) serveUDP() {
	g.stack.SetTransportProtocolHandler(udp.ProtocolNumber, func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
		from := netip.AddrPortFrom(toAddr(id.RemoteAddress), id.RemotePort)
		to := netip.AddrPortFrom(toAddr(id.LocalAddress), id.LocalPort)
		p := g.sw.table.Load().byIP[from.Addr()]
		if p == nil {
			return true
		}
		payload := pkt.Data().AsRange().ToSlice()
		if to.Addr() == g.config.Gateway || to.Addr() == g.config.Gateway6 {
			if to.Port() == 53 {
				g.dns.datagram(p, payload, func(reply []byte) { sendUDP(g.stack, to, from, reply) })
				return true
			}
			return g.published.fromGuest(to.Port(), from, payload)
		}
		return g.leaveUDP(p, udpKey{from, to}, payload)
	})
}

// leaveUDP sends a datagram out; if it returns false, the stack sends "port unreachable" to the machine.
func (g *gateway) leaveUDP(p *port, key udpKey, payload []byte) bool {
	p.udp.mu.Lock()
	flow := p.udp.flows[key]
	if flow != nil {
		p.udp.order.MoveToFront(flow.place)
	}
	p.udp.mu.Unlock()
	if flow == nil {
		dial, why := g.mayLeave(p, "udp", key.to)
		if why != "" {
			return false
		}
		if flow = g.openUDP(p, key, dial); flow == nil {
			return true
		}
	}
	flow.last.Store(time.Now().UnixNano())
	// If the socket's buffer is full, the datagram is lost: waiting would delay the machine's other traffic.
	_ = flow.raw.Write(func(fd uintptr) bool {
		_, _ = syscall.Write(int(fd), payload)
		return true
	})
	return true
}

func (g *gateway) openUDP(p *port, key udpKey, dial netip.AddrPort) *udpFlow {
	if g.udpFlows.Add(1) > int64(g.config.Limits.NetworkUDP) || g.short.Load() {
		g.udpFlows.Add(-1)
		p.limited.Add(1)
		g.events.limited(p, "datagram flows of the network")
		return nil
	}
	conn, err := net.DialUDP("udp"+family(dial), nil, net.UDPAddrFromAddrPort(dial))
	if err != nil {
		g.udpFlows.Add(-1)
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		_ = conn.Close()
		g.udpFlows.Add(-1)
		return nil
	}
	flow := &udpFlow{key: key, conn: conn, raw: raw}
	p.udp.mu.Lock()
	if p.udp.flows == nil {
		p.udp.flows = make(map[udpKey]*udpFlow)
	}
	if len(p.udp.flows) >= g.config.Limits.MachineUDP {
		oldest := p.udp.order.Back().Value.(*udpFlow)
		_ = oldest.conn.Close()
		p.udp.drop(oldest)
		p.limited.Add(1)
		g.events.limited(p, "datagram flows")
	}
	p.udp.flows[key] = flow
	flow.place = p.udp.order.PushFront(flow)
	p.udp.mu.Unlock()
	p.udpOpened.Add(1)
	go g.answersUDP(p, flow)
	return flow
}

func (t *udpTable) drop(flow *udpFlow) {
	if t.flows[flow.key] == flow {
		delete(t.flows, flow.key)
		t.order.Remove(flow.place)
	}
}

// answersUDP forwards answers to the machine, until the flow has been idle for a while.
func (g *gateway) answersUDP(p *port, flow *udpFlow) {
	defer func() {
		_ = flow.conn.Close()
		p.udp.mu.Lock()
		p.udp.drop(flow)
		p.udp.mu.Unlock()
		g.udpFlows.Add(-1)
	}()
	idle := g.config.Limits.udpIdle()
	_ = flow.conn.SetReadDeadline(time.Now().Add(idle))
	for {
		err := flow.raw.Read(func(fd uintptr) bool {
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			n, err := syscall.Read(int(fd), *buf)
			if err == syscall.EAGAIN || err == syscall.EINTR {
				return false
			}
			if err == nil {
				flow.last.Store(time.Now().UnixNano())
				sendUDP(g.stack, flow.key.to, flow.key.from, (*buf)[:n])
			}
			return true
		})
		if err == nil {
			continue
		}
		left := time.Until(time.Unix(0, flow.last.Load()).Add(idle))
		if netErr, ok := err.(net.Error); !ok || !netErr.Timeout() || left <= 0 {
			return
		}
		_ = flow.conn.SetReadDeadline(time.Now().Add(left))
	}
}

// closeUDP ends the flows that `which` selects; their readers remove them from the table.
func (p *port) closeUDP(which func(netip.AddrPort) bool) {
	p.udp.mu.Lock()
	defer p.udp.mu.Unlock()
	for key, flow := range p.udp.flows {
		if which(key.to) {
			_ = flow.conn.Close()
		}
	}
}
