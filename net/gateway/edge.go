package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// edges hands connections to port 443 of some machines to a supervisor, which speaks TLS for them. The supervisors say which machines
// those are; any other machine's port 443 is its own, and the gateway's own addresses have none.
//
// They have a stack of their own: one that speaks for a machine's address takes it for its own, and could no longer connect to it.
type edges struct {
	stack  *stack.Stack
	link   *link
	mu     sync.Mutex
	owners map[*queue]map[netip.Addr]uint16
	// targets are those of all owners; nil while there are none, so that forwarding costs nothing.
	targets atomic.Pointer[map[netip.Addr]edgeTarget]
	// flows are those whose later segments belong to the gateway's stack, whatever becomes of the table.
	flows   sync.Map
	open    atomic.Int64
	waiting map[uint64]*handover
	last    uint64
}

// edgeTarget says who speaks for a machine, and the machine's port that stands behind its 443.
type edgeTarget struct {
	by   *queue
	port uint16
}

type flowKey struct{ from, to netip.AddrPort }

// handover is a connection of a machine that waits for its supervisor.
type handover struct {
	by   *queue
	conn chan *net.UnixConn
	done chan struct{}
}

// EdgeEvent asks one supervisor to come for a connection.
type EdgeEvent struct {
	Event string         `json:"event"`
	Edge  uint64         `json:"edge"`
	From  netip.AddrPort `json:"from"`
	To    netip.AddrPort `json:"to"`
	Count int            `json:"count"`
}

const (
	edgePort = 443
	// edgeWait is how long a supervisor may take to come.
	edgeWait = 10 * time.Second
	// flowLinger keeps the last segments of an ended connection from the machine, which would answer them with a reset.
	flowLinger = 15 * time.Second
)

func newEdges() *edges {
	return &edges{owners: make(map[*queue]map[netip.Addr]uint16), waiting: make(map[uint64]*handover)}
}

// set replaces what one supervisor speaks for.
func (e *edges) set(targets map[netip.Addr]uint16, by *queue, c *Config) error {
	for addr, port := range targets {
		if port == 0 || port == edgePort || !c.inside(addr) || addr == c.Gateway || addr == c.Gateway6 || addr == c.Host {
			return fmt.Errorf("%v is not a machine's port of this network", netip.AddrPortFrom(addr, port))
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owners[by] = targets
	e.publish()
	return nil
}

// leave is called when a control connection has ended.
func (e *edges) leave(by *queue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.owners, by)
	e.publish()
}

func (e *edges) publish() {
	all := make(map[netip.Addr]edgeTarget)
	for by, targets := range e.owners {
		for addr, port := range targets {
			all[addr] = edgeTarget{by, port}
		}
	}
	if len(all) == 0 {
		e.targets.Store(nil)
		return
	}
	e.targets.Store(&all)
}

func (e *edges) find(to netip.AddrPort) (target edgeTarget, is bool) {
	if all := e.targets.Load(); all != nil && to.Port() == edgePort {
		target, is = (*all)[to.Addr()]
	}
	return target, is
}

func (g *gateway) serveEdges() (err error) {
	e := g.edges
	e.link = &link{sw: g.sw, mtu: g.config.MTU}
	if e.stack, err = newStack(e.link, nil); err != nil {
		return err
	}
	forwarder := tcp.NewForwarder(e.stack, 0, maxInFlight, g.acceptEdge)
	e.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, forwarder.HandlePacket)
	g.sw.toEdge = e.take
	return nil
}

// take delivers a frame from one machine to another to the stack instead, if it opens a connection to such a machine's 443, or is of
// one that did.
func (e *edges) take(eth []byte) bool {
	if !e.takes(eth) {
		return false
	}
	e.link.deliver(binary.BigEndian.Uint16(eth[12:14]), eth[ethernetSize:])
	return true
}

func (e *edges) takes(eth []byte) bool {
	if e.targets.Load() == nil && e.open.Load() == 0 || eth[0]&1 != 0 {
		return false
	}
	protocol, from, to, opens := describe(eth)
	if protocol != "tcp" || to.Port() != edgePort {
		return false
	}
	if opens {
		_, is := e.find(to)
		return is
	}
	_, is := e.flows.Load(flowKey{from, to})
	return is
}

func (e *edges) begin(key flowKey, flow *tcpFlow) {
	if _, was := e.flows.Swap(key, flow); !was {
		e.open.Add(1)
	}
}

func (e *edges) end(key flowKey, flow *tcpFlow) {
	time.AfterFunc(flowLinger, func() {
		if e.flows.CompareAndDelete(key, flow) {
			e.open.Add(-1)
		}
	})
}

// acceptEdge carries a connection to port 443 of a machine that a supervisor speaks for. It is allowed where the machine's own port is.
func (g *gateway) acceptEdge(r *tcp.ForwarderRequest) {
	id := r.ID()
	from, to := netip.AddrPortFrom(toAddr(id.RemoteAddress), id.RemotePort), netip.AddrPortFrom(toAddr(id.LocalAddress), id.LocalPort)
	p := g.sw.table.Load().byIP[from.Addr()]
	target, is := g.edges.find(to)
	refused := true
	defer func() {
		if refused {
			r.Complete(true)
		}
	}()
	if p == nil || !is {
		return
	}
	if !p.peers.Load().Allows("tcp", netip.AddrPortFrom(to.Addr(), target.port), nil) {
		p.refused.Add(1)
		g.events.refused(p, "tcp", to, "peers", "")
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	flow := &tcpFlow{to: to, cancel: cancel}
	if !g.beginTCP(p, flow) {
		return
	}
	defer g.endTCP(p, flow)
	conn, done, err := g.handOver(p, from, to, target)
	if err != nil {
		return
	}
	defer close(done)
	defer conn.Close()
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	g.edges.begin(flowKey{from, to}, flow)
	defer g.edges.end(flowKey{from, to}, flow)
	var wq waiter.Queue
	ep, tcpErr := r.CreateEndpoint(&wq)
	r.Complete(tcpErr != nil)
	refused = false
	if tcpErr == nil {
		splice(ctx, &guestConn{gonet.NewTCPConn(&wq, ep), ep, &wq}, conn)
	}
}

// handOver asks the supervisor to come, and returns its connection.
func (g *gateway) handOver(p *port, from, to netip.AddrPort, target edgeTarget) (*net.UnixConn, chan struct{}, error) {
	if p.dials.Add(1) > int32(g.config.Limits.MachineDials) {
		p.dials.Add(-1)
		p.limited.Add(1)
		g.events.limited(p, "waiting connections")
		return nil, nil, errors.New("too many connections are waiting")
	}
	defer p.dials.Add(-1)
	e := g.edges
	h := &handover{by: target.by, conn: make(chan *net.UnixConn, 1), done: make(chan struct{})}
	e.mu.Lock()
	e.last++
	id := e.last
	e.waiting[id] = h
	e.mu.Unlock()
	target.by.put(toLine(EdgeEvent{"edge", id, from, to, 1}), false)
	timer := time.NewTimer(edgeWait)
	defer timer.Stop()
	select {
	case conn := <-h.conn:
		return conn, h.done, nil
	case <-timer.C:
	}
	e.mu.Lock()
	_, waits := e.waiting[id]
	delete(e.waiting, id)
	e.mu.Unlock()
	if waits {
		return nil, nil, errors.New("the supervisor did not come")
	}
	// It came in this very moment, and waits for the end.
	return <-h.conn, h.done, nil
}

// fetch makes the connection the far end of one that waits, until that has ended.
func (g *gateway) fetch(id uint64, buffered int, conn *net.UnixConn) error {
	e := g.edges
	e.mu.Lock()
	h := e.waiting[id]
	delete(e.waiting, id)
	e.mu.Unlock()
	if h == nil || buffered > 0 {
		return fmt.Errorf("no connection %d waits", id)
	}
	if err := answer(conn, Reply{OK: true}); err != nil {
		_ = conn.Close()
	}
	h.conn <- conn
	<-h.done
	return nil
}
