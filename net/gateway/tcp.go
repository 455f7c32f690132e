package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// tcpFlow is one connection of a machine to an outside address.
type tcpFlow struct {
	to     netip.AddrPort
	cancel context.CancelFunc
}

// maxInFlight is a last resort: the limits per machine are lower.
const maxInFlight = 1 << 16

func (g *gateway) serveTCP() {
	forwarder := tcp.NewForwarder(g.stack, 0, maxInFlight, g.acceptTCP)
	g.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
		if toAddr(id.LocalAddress) == g.config.Gateway || toAddr(id.LocalAddress) == g.config.Gateway6 {
			return false // the gateway itself only serves DNS, which has an endpoint: the stack refuses the rest
		}
		return forwarder.HandlePacket(id, pkt)
	})
}

// acceptTCP runs on its own goroutine for each first segment of a connection.
func (g *gateway) acceptTCP(r *tcp.ForwarderRequest) {
	id := r.ID()
	to := netip.AddrPortFrom(toAddr(id.LocalAddress), id.LocalPort)
	p := g.sw.table.Load().byIP[toAddr(id.RemoteAddress)]
	dial, why := g.mayLeave(p, "tcp", to)
	if why != "" {
		r.Complete(true)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	flow := &tcpFlow{to: to, cancel: cancel}
	if !g.beginTCP(p, flow) {
		r.Complete(true)
		return
	}
	defer g.endTCP(p, flow)
	outside, err := g.dialTCP(ctx, p, dial)
	if err != nil {
		r.Complete(true)
		return
	}
	defer outside.Close()
	// The machine may never finish the handshake.
	context.AfterFunc(ctx, func() { _ = outside.Close() })
	var wq waiter.Queue
	ep, tcpErr := r.CreateEndpoint(&wq)
	r.Complete(tcpErr != nil)
	if tcpErr != nil {
		return
	}
	splice(ctx, &guestConn{gonet.NewTCPConn(&wq, ep), ep, &wq}, outside)
}

func (g *gateway) dialTCP(ctx context.Context, p *port, to netip.AddrPort) (hostConn, error) {
	if p.dials.Add(1) > int32(g.config.Limits.MachineDials) {
		p.dials.Add(-1)
		p.limited.Add(1)
		g.events.limited(p, "waiting connections")
		return nil, errors.New("too many connections are waiting")
	}
	defer p.dials.Add(-1)
	dialer := net.Dialer{Timeout: g.config.Limits.dialTimeout()}
	conn, err := dialer.DialContext(ctx, "tcp"+family(to), to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func family(to netip.AddrPort) string {
	if to.Addr().Is4() {
		return "4"
	}
	return "6"
}

func (g *gateway) beginTCP(p *port, flow *tcpFlow) bool {
	p.tcpMu.Lock()
	defer p.tcpMu.Unlock()
	if p.gone {
		return false
	}
	if len(p.tcp) >= g.config.Limits.MachineTCP || g.tcpFlows.Add(1) > int64(g.config.Limits.NetworkTCP) || g.short.Load() {
		if len(p.tcp) < g.config.Limits.MachineTCP {
			g.tcpFlows.Add(-1)
		}
		p.limited.Add(1)
		g.events.limited(p, "connections")
		return false
	}
	p.tcp[flow] = struct{}{}
	p.tcpOpened.Add(1)
	return true
}

func (g *gateway) endTCP(p *port, flow *tcpFlow) {
	p.tcpMu.Lock()
	delete(p.tcp, flow)
	p.tcpMu.Unlock()
	g.tcpFlows.Add(-1)
}

// closeTCP ends the connections that `which` selects.
func (p *port) closeTCP(which func(netip.AddrPort) bool) {
	p.tcpMu.Lock()
	defer p.tcpMu.Unlock()
	for flow := range p.tcp {
		if which(flow.to) {
			flow.cancel()
		}
	}
}

// beginTunnel is false when the machine's NIC is gone.
func (p *port) beginTunnel(flow *tcpFlow) bool {
	p.tcpMu.Lock()
	defer p.tcpMu.Unlock()
	if !p.gone {
		p.tunnels[flow] = struct{}{}
	}
	return !p.gone
}

func (p *port) endTunnel(flow *tcpFlow) {
	p.tcpMu.Lock()
	defer p.tcpMu.Unlock()
	delete(p.tunnels, flow)
}

// leave ends all connections of a machine whose NIC is gone: it answers nothing any more, not even with a reset.
func (p *port) leave() {
	all := func(netip.AddrPort) bool { return true }
	p.tcpMu.Lock()
	p.gone = true
	for flow := range p.tunnels {
		flow.cancel()
	}
	p.tcpMu.Unlock()
	p.closeTCP(all)
	p.closeUDP(all)
}

// guestConn is a connection in the network that can wait for data without holding a buffer.
type guestConn struct {
	*gonet.TCPConn
	ep tcpip.Endpoint
	wq *waiter.Queue
}

// dialGuest connects from the gateway's address to a machine.
func (g *gateway) dialGuest(ctx context.Context, to netip.AddrPort) (*guestConn, error) {
	var wq waiter.Queue
	ep, err := g.stack.NewEndpoint(tcp.ProtocolNumber, protocolOf(to.Addr()), &wq)
	if err != nil {
		return nil, errors.New(err.String())
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	err = ep.Connect(tcpip.FullAddress{NIC: nicID, Addr: fromAddr(to.Addr()), Port: to.Port()})
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ready:
			err = ep.LastError()
		case <-ctx.Done():
			ep.Abort()
			return nil, ctx.Err()
		}
	}
	if err != nil {
		ep.Close()
		return nil, errors.New(err.String())
	}
	return &guestConn{gonet.NewTCPConn(&wq, ep), ep, &wq}, nil
}

// splice copies both directions; each ends by itself, and an error or the context ends both.
func splice(parent context.Context, guest *guestConn, host hostConn) {
	ctx, cancel := context.WithCancel(parent)
	stop := context.AfterFunc(ctx, func() {
		guest.ep.Abort()
		_ = host.Close()
	})
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		if guestToHost(ctx, guest, host) != nil {
			reset(host)
			cancel()
		}
	}()
	if hostToGuest(guest, host) != nil {
		cancel()
	}
	done.Wait()
	stop()
	cancel()
	_ = guest.Close()
	_ = host.Close()
}

type hostConn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// reset ends a broken stream with RST, so that it does not look complete.
func reset(conn hostConn) {
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// guestToHost and hostToGuest hold a buffer only while there is data.
func guestToHost(ctx context.Context, guest *guestConn, host hostConn) error {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	guest.wq.EventRegister(&entry)
	defer guest.wq.EventUnregister(&entry)
	for {
		buf := buffers.Get().(*[]byte)
		w := tcpip.SliceWriter(*buf)
		result, err := guest.ep.Read(&w, tcpip.ReadOptions{})
		var failed error
		if err == nil {
			guest.ep.ModerateRecvBuf(result.Count)
			_, failed = host.Write((*buf)[:result.Count])
		}
		buffers.Put(buf)
		switch err.(type) {
		case nil:
			if failed != nil {
				return failed
			}
		case *tcpip.ErrWouldBlock:
			select {
			case <-ready:
			case <-ctx.Done():
				return ctx.Err()
			}
		case *tcpip.ErrClosedForReceive:
			return host.CloseWrite()
		default:
			return errors.New(err.String())
		}
	}
}

func hostToGuest(guest *guestConn, host hostConn) error {
	raw, err := host.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var buf *[]byte
		var n int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			buf = buffers.Get().(*[]byte)
			n, failed = syscall.Read(int(fd), *buf)
			if failed == syscall.EAGAIN || failed == syscall.EINTR {
				buffers.Put(buf)
				buf = nil
				return false
			}
			return true
		})
		if err == nil {
			err = failed
		}
		if err == nil && n > 0 {
			_, err = guest.Write((*buf)[:n])
		}
		if buf != nil {
			buffers.Put(buf)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return guest.CloseWrite()
		}
	}
}
