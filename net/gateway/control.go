package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hypr/gateway/policy"
)

// Request is the first line of a connection, and each further line of a control connection.
type Request struct {
	ID int    `json:"id"`
	Op string `json:"op"`
	// nic
	Nic *NicSpec `json:"nic"`
	// tcp, udp
	To netip.AddrPort `json:"to"`
	// capture
	Snap int `json:"snap"`
	// resolvers, names
	Resolvers []netip.AddrPort        `json:"resolvers"`
	Fallback  []netip.AddrPort        `json:"fallback"`
	Names     map[string][]netip.Addr `json:"names"`
	Owner     string                  `json:"owner"`
	// policy, detach
	MAC    string       `json:"mac"`
	Egress *policy.Spec `json:"egress"`
	Peers  *policy.Spec `json:"peers"`
	Host   bool         `json:"host"`
	// edge: of a control connection, the machines whose 443 it speaks for; of another, the connection that it comes for
	Targets map[netip.Addr]uint16 `json:"targets"`
	Edge    uint64                `json:"edge"`
}

// Reply is the answer to a request: the result, or an error.
type Reply struct {
	ID    int    `json:"id,omitempty"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	State *State `json:"state,omitempty"`
}

const (
	maxLine     = 1 << 20
	requestTime = 10 * time.Second
)

// serve takes connections of the supervisor's user until the listener fails.
func (g *gateway) serve(listener *net.UnixListener) error {
	for {
		conn, err := listener.AcceptUnix()
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			time.Sleep(50 * time.Millisecond) // flows end; the supervisor tries again meanwhile
			continue
		}
		if err != nil {
			return err
		}
		if g.tunnels.Add(1) > int64(g.config.Limits.Tunnels) || !sameUser(conn) {
			g.tunnels.Add(-1)
			_ = conn.Close()
			continue
		}
		go func() {
			defer g.tunnels.Add(-1)
			defer conn.Close()
			g.handle(conn)
		}()
	}
}

// sameUser checks the peer's user id (SO_PEERCRED). The socket's folder is private to the user already.
func sameUser(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return err == nil && failed == nil && (cred.Uid == 0 || int(cred.Uid) == os.Getuid())
}

func readRequest(r *bufio.Reader) (req Request, err error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			return req, err
		}
		if len(line) > maxLine {
			return req, fmt.Errorf("a request is longer than %d bytes", maxLine)
		}
	}
	return req, json.Unmarshal(line, &req)
}

func answer(w io.Writer, reply Reply) error {
	_, err := w.Write(toLine(reply).buf)
	return err
}

func refusal(id int, err error) Reply { return Reply{ID: id, Error: err.Error()} }

func (g *gateway) handle(conn *net.UnixConn) {
	reader := bufio.NewReaderSize(conn, 4096)
	_ = conn.SetReadDeadline(time.Now().Add(requestTime))
	req, err := readRequest(reader)
	_ = conn.SetReadDeadline(time.Time{})
	if err != nil {
		_ = answer(conn, refusal(0, err))
		return
	}
	switch req.Op {
	case "nic":
		err = g.attach(req, reader, conn)
	case "tcp":
		err = g.tunnel(req.To, reader, conn)
	case "udp":
		if err = g.reachable(req.To); err == nil && answer(conn, Reply{OK: true}) == nil {
			g.published.serve(reader, conn, req.To)
		}
	case "edge":
		err = g.fetch(req.Edge, reader.Buffered(), conn)
	case "capture":
		err = g.capture(req, reader, conn)
	case "control":
		g.control(reader, conn)
	default:
		err = fmt.Errorf("%q is not a valid first request", req.Op)
	}
	if err != nil {
		_ = answer(conn, refusal(0, err))
	}
}

// attach makes the connection a machine's NIC. Frames are sent only after one more byte from the client, so that the
// client's own reader does not get bytes meant for the machine.
func (g *gateway) attach(req Request, reader *bufio.Reader, conn *net.UnixConn) error {
	if req.Nic == nil {
		return errors.New("the request has no nic")
	}
	p, err := newPort(*req.Nic, conn, g.config)
	if err != nil {
		return err
	}
	if err := answer(conn, Reply{OK: true}); err != nil {
		return nil
	}
	if _, err := reader.Discard(1); err != nil {
		return nil
	}
	_ = conn.SetWriteBuffer(1 << 20)
	_ = conn.SetReadBuffer(1 << 20)
	g.sw.add(p)
	g.events.tell(Event{Event: "attached", Machine: p.spec.Name, MAC: p.spec.MAC})
	go p.out.drain(conn)
	err = p.read(reader, g.sw.ingress)
	p.out.close()
	g.sw.remove(p)
	g.names.detached()
	p.leave()
	why := ""
	if err == errFrame {
		why = err.Error()
	}
	g.events.tell(Event{Event: "detached", Machine: p.spec.Name, MAC: p.spec.MAC, Why: why})
	return nil
}

func (g *gateway) reachable(to netip.AddrPort) error {
	if !to.IsValid() || to.Port() == 0 || !g.config.inside(to.Addr()) {
		return fmt.Errorf("%v is not an address and port of this network", to)
	}
	return nil
}

// tunnel connects to a machine after it has granted the request, so that the client may send at once.
func (g *gateway) tunnel(to netip.AddrPort, reader *bufio.Reader, conn *net.UnixConn) error {
	if err := g.reachable(to); err != nil {
		return err
	}
	if err := answer(conn, Reply{OK: true}); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), g.config.Limits.dialTimeout())
	defer cancel()
	guest, err := g.dialGuest(ctx, to)
	if err != nil {
		return nil
	}
	held, end := context.WithCancel(context.Background())
	defer end()
	flow := &tcpFlow{to: to, cancel: end}
	p := g.sw.table.Load().byIP[to.Addr()]
	if p == nil || !p.beginTunnel(flow) {
		_ = guest.Close()
		return nil
	}
	defer p.endTunnel(flow)
	if early := reader.Buffered(); early > 0 {
		data, _ := reader.Peek(early)
		if _, err := guest.Write(data); err != nil {
			_ = guest.Close()
			return nil
		}
	}
	splice(held, guest, conn)
	return nil
}

func (g *gateway) capture(req Request, reader io.Reader, conn net.Conn) error {
	if req.Snap <= 0 || req.Snap > largeFrame-16 {
		req.Snap = largeFrame - 16
	}
	q := newQueue(4 << 20)
	if err := answer(conn, Reply{OK: true}); err != nil {
		return nil
	}
	if !g.sw.captures.add(q, req.Snap) {
		return nil
	}
	defer q.close()
	defer g.sw.captures.remove(q)
	go q.drain(conn)
	_, _ = io.Copy(io.Discard, reader)
	return nil
}

// control answers requests one by one and sends events in between.
func (g *gateway) control(reader *bufio.Reader, conn net.Conn) {
	q := newQueue(4 << 20)
	q.put(toLine(Reply{OK: true}), false)
	g.events.listen(q)
	defer q.close()
	defer g.events.leave(q)
	defer g.names.leave(q)
	defer g.edges.leave(q)
	go q.drain(conn)
	for {
		req, err := readRequest(reader)
		if err != nil {
			return
		}
		reply := Reply{ID: req.ID, OK: true}
		if err := g.carryOut(req, &reply, q); err != nil {
			reply = refusal(req.ID, err)
		}
		q.put(toLine(reply), true)
	}
}

func (g *gateway) carryOut(req Request, reply *Reply, q *queue) error {
	switch req.Op {
	case "state":
		reply.State = g.state()
	case "resolvers":
		g.dns.setServers(req.Resolvers, req.Fallback)
	case "names":
		return g.names.set(req.Owner, req.Names, q)
	case "edge":
		return g.edges.set(req.Targets, q, g.config)
	case "policy", "detach":
		hardware, err := net.ParseMAC(req.MAC)
		if err != nil || len(hardware) != 6 {
			return fmt.Errorf("%q is not a MAC address", req.MAC)
		}
		p := g.sw.ports()[macAddr(hardware)]
		if p == nil {
			return fmt.Errorf("no machine has the MAC address %s", req.MAC)
		}
		if req.Op == "detach" {
			return p.conn.Close()
		}
		if err := p.setPolicies(req.Egress, req.Peers); err != nil {
			return err
		}
		g.enforce(p)
	default:
		return fmt.Errorf("%q is not a request", req.Op)
	}
	return nil
}
