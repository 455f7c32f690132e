package main

import (
	"container/list"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// published holds the datagram flows of published ports: each has its own port of the gateway in the network.
type published struct {
	mu   sync.Mutex
	g    *gateway
	next uint16
	by   map[uint16]*inbound
}

type inbound struct {
	tunnel *udpTunnel
	id     uint32
	local  uint16
	last   time.Time
	place  *list.Element
}

// udpTunnel carries one published port: u16 length, u32 flow, payload, in both directions. The length closedFlow has no
// payload and means that the flow is closed.
type udpTunnel struct {
	guest netip.AddrPort
	out   *queue
	flows map[uint32]*inbound
	order list.List
}

const (
	closedFlow      = 0xffff
	firstLocal      = 32768
	maxTunnelFlows  = 2048
	tunnelHeadBytes = 6
)

// serve reads the supervisor's datagrams until the stream ends.
func (u *published) serve(r io.Reader, conn net.Conn, guest netip.AddrPort) {
	t := &udpTunnel{guest: guest, out: newQueue(1 << 20), flows: make(map[uint32]*inbound)}
	go t.out.drain(conn)
	defer func() {
		t.out.close()
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, flow := range t.flows {
			delete(u.by, flow.local)
		}
	}()
	head, payload := make([]byte, tunnelHeadBytes), make([]byte, closedFlow)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		size, id := binary.BigEndian.Uint16(head), binary.BigEndian.Uint32(head[2:])
		if size == closedFlow {
			u.mu.Lock()
			u.forget(t, t.flows[id], false)
			u.mu.Unlock()
			continue
		}
		if _, err := io.ReadFull(r, payload[:size]); err != nil {
			return
		}
		if local := u.localPort(t, id); local != 0 {
			from := u.g.config.Gateway
			if guest.Addr().Is6() {
				from = u.g.config.Gateway6
			}
			sendUDP(u.g.stack, netip.AddrPortFrom(from, local), guest, payload[:size])
		}
	}
}

func (u *published) localPort(t *udpTunnel, id uint32) uint16 {
	u.mu.Lock()
	defer u.mu.Unlock()
	flow := t.flows[id]
	if flow == nil {
		if len(t.flows) >= maxTunnelFlows {
			u.forget(t, t.order.Back().Value.(*inbound), true)
		}
		flow = &inbound{tunnel: t, id: id}
		for tries := 0; flow.local == 0; tries++ {
			candidate := firstLocal + u.next%(65535-firstLocal)
			u.next++
			if u.by[candidate] == nil {
				flow.local = candidate
			} else if tries > 65535 {
				return 0
			}
		}
		u.by[flow.local] = flow
		t.flows[id] = flow
		flow.place = t.order.PushFront(flow)
	}
	flow.last = time.Now()
	t.order.MoveToFront(flow.place)
	return flow.local
}

func (u *published) forget(t *udpTunnel, flow *inbound, tell bool) {
	if flow == nil {
		return
	}
	delete(u.by, flow.local)
	delete(t.flows, flow.id)
	t.order.Remove(flow.place)
	if tell {
		f := getFrame(tunnelHeadBytes)
		binary.BigEndian.PutUint16(f.buf, closedFlow)
		binary.BigEndian.PutUint32(f.buf[2:], flow.id)
		t.out.put(f, false)
	}
}

// fromGuest handles a datagram if it is an answer to a published port.
func (u *published) fromGuest(local uint16, from netip.AddrPort, payload []byte) bool {
	u.mu.Lock()
	flow := u.by[local]
	if flow == nil || flow.tunnel.guest != from || len(payload) >= closedFlow {
		u.mu.Unlock()
		return false
	}
	flow.last = time.Now()
	u.mu.Unlock()
	f := getFrame(tunnelHeadBytes + len(payload))
	binary.BigEndian.PutUint16(f.buf, uint16(len(payload)))
	binary.BigEndian.PutUint32(f.buf[2:], flow.id)
	copy(f.buf[tunnelHeadBytes:], payload)
	flow.tunnel.out.put(f, false)
	return true
}

// sweep drops idle flows; called periodically.
func (u *published) sweep(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, flow := range u.by {
		if now.Sub(flow.last) > u.g.config.Limits.udpIdle() {
			u.forget(flow.tunnel, flow, true)
		}
	}
}
