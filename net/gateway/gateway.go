package main

import (
	"log"
	"net/netip"
	"os"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"hypr/gateway/fence"
)

// gateway is one network: its switch, its NAT and its names.
type gateway struct {
	config    *Config
	sw        *vswitch
	link      *link
	stack     *stack.Stack
	dns       *resolver
	names     *names
	edges     *edges
	events    *events
	published published
	fence     fence.Fence

	tcpFlows, udpFlows, tunnels atomic.Int64
	// short is set while memory is exhausted: no new connections are started.
	short atomic.Bool
}

func newGateway(c *Config) (*gateway, error) {
	g := &gateway{config: c, edges: newEdges(), events: newEvents()}
	g.published = published{g: g, by: make(map[uint16]*inbound)}
	g.sw = newSwitch(c, g.events)
	g.sw.toStack = g.fromMachine
	g.link = &link{sw: g.sw, mtu: c.MTU}
	own := []netip.Addr{c.Gateway}
	if c.Subnet6.IsValid() {
		own = append(own, c.Gateway6)
	}
	var err error
	if g.stack, err = newStack(g.link, own); err != nil {
		return nil, err
	}
	if err := g.serveEdges(); err != nil {
		return nil, err
	}
	g.dns = &resolver{g: g}
	g.names = newNames(g)
	g.dns.setServers(c.Resolvers, c.Fallback)
	g.serveTCP()
	g.serveUDP()
	for _, addr := range []netip.Addr{c.Gateway, c.Gateway6} {
		if addr.IsValid() {
			if err := g.dns.serveTCP(addr); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}

// fromMachine takes a packet that a machine sent to the gateway's MAC.
func (g *gateway) fromMachine(p *port, kind uint16, ip []byte) {
	if kind == typeIPv4 {
		to := netip.AddrFrom4([4]byte(ip[16:20]))
		size := int(ip[0]&15) * 4
		// The stack would answer for any address.
		if ip[9] == 1 && to != g.config.Gateway {
			if len(ip) > size && ip[size] == 8 {
				g.echo(p, ip)
			}
			return
		}
	} else if to := netip.AddrFrom16([16]byte(ip[24:40])); ip[6] == 58 && to != g.config.Gateway6 {
		return
	}
	g.link.deliver(kind, ip)
}

// mayLeave decides whether a machine may connect to a destination, and returns its real address. An empty reason allows it.
func (g *gateway) mayLeave(p *port, protocol string, to netip.AddrPort) (netip.AddrPort, string) {
	if p == nil {
		return to, "unknown"
	}
	names := []string(nil)
	why := ""
	rules := p.egress.Load()
	switch {
	case g.config.Internal:
		why = "internal"
	case to.Addr() == g.config.Host && p.spec.Host:
		return netip.AddrPortFrom(loopback, to.Port()), ""
	case to.Addr() == g.config.Host:
		why = "host"
	case g.config.inside(to.Addr()) || g.config.blocked(to.Addr()):
		why = "address"
	case rules != nil:
		if names = p.learned.Of(to.Addr()); !rules.Allows(protocol, to, names) {
			why = "policy"
		}
	}
	if why != "" {
		name := ""
		if len(names) > 0 {
			name = names[0]
		}
		p.refused.Add(1)
		g.events.refused(p, protocol, to, why, name)
	}
	return to, why
}

var loopback = netip.MustParseAddr("127.0.0.1")

// enforce ends connections that a machine's new rules do not allow.
func (g *gateway) enforce(p *port) {
	rules := p.egress.Load()
	denied := func(protocol string) func(netip.AddrPort) bool {
		return func(to netip.AddrPort) bool {
			// What is inside are connections for a supervisor, which rules of what leaves are not about.
			return to.Addr() != g.config.Host && !g.config.inside(to.Addr()) && !rules.Allows(protocol, to, p.learned.Of(to.Addr()))
		}
	}
	p.closeTCP(denied("tcp"))
	p.closeUDP(denied("udp"))
}

// watch drops idle state, ends a shared gateway that nobody uses, and checks memory: above the limit no new connections are started, and those of
// the machine with the most are ended.
func (g *gateway) watch() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	idle := 0
	for now := range time.Tick(time.Second) {
		if idle++; g.tunnels.Load() > 0 {
			idle = 0
		}
		if limit := g.config.IdleSeconds; limit > 0 && idle >= limit {
			log.Print("nobody uses this network any more")
			os.Exit(0)
		}
		g.published.sweep(now)
		metrics.Read(sample)
		used := sample[0].Value.Uint64() + sample[1].Value.Uint64()
		full := used > uint64(g.config.Limits.MemoryMiB)<<20
		g.short.Store(full)
		if !full {
			continue
		}
		var most *port
		for _, p := range g.sw.ports() {
			if most == nil || p.flows() > most.flows() {
				most = p
			}
		}
		if most != nil && most.flows() > 0 {
			g.events.tell(Event{Event: "memory", Machine: most.spec.Name, MAC: most.spec.MAC, Why: "its connections are ended"})
			all := func(netip.AddrPort) bool { return true }
			most.closeTCP(all)
			most.closeUDP(all)
		}
	}
}

func (p *port) flows() int {
	p.tcpMu.Lock()
	defer p.tcpMu.Unlock()
	p.udp.mu.Lock()
	defer p.udp.mu.Unlock()
	return len(p.tcp) + len(p.udp.flows)
}

// State is the gateway's whole state, for a supervisor that adopts it.
type State struct {
	Network  string      `json:"network"`
	Machines []Machine   `json:"machines"`
	TCP      int64       `json:"tcp"`
	UDP      int64       `json:"udp"`
	Tunnels  int64       `json:"tunnels"`
	Fence    fence.Fence `json:"fence"`
}

// Machine is one NIC and its counters in bytes: received from the machine, sent to it.
type Machine struct {
	NicSpec
	Received  uint64 `json:"received"`
	Sent      uint64 `json:"sent"`
	Dropped   uint64 `json:"dropped"`
	Spoofed   uint64 `json:"spoofed"`
	Refused   uint64 `json:"refused"`
	Limited   uint64 `json:"limited"`
	TCP       int    `json:"tcp"`
	UDP       int    `json:"udp"`
	TCPOpened uint64 `json:"tcpOpened"`
	UDPOpened uint64 `json:"udpOpened"`
}

func (g *gateway) state() *State {
	s := &State{Network: g.config.Network, TCP: g.tcpFlows.Load(), UDP: g.udpFlows.Load(), Tunnels: g.tunnels.Load(), Fence: g.fence, Machines: []Machine{}}
	for _, p := range g.sw.ports() {
		m := Machine{NicSpec: p.spec, Received: p.received.Load(), Spoofed: p.spoofed.Load(), Refused: p.refused.Load(), Limited: p.limited.Load(), TCPOpened: p.tcpOpened.Load(), UDPOpened: p.udpOpened.Load()}
		m.Sent, m.Dropped = p.out.counters()
		if rules := p.egress.Load(); rules != nil {
			m.Egress = rules.Spec
		}
		if rules := p.peers.Load(); rules != nil {
			m.Peers = rules.Spec
		}
		p.tcpMu.Lock()
		m.TCP = len(p.tcp)
		p.tcpMu.Unlock()
		p.udp.mu.Lock()
		m.UDP = len(p.udp.flows)
		p.udp.mu.Unlock()
		s.Machines = append(s.Machines, m)
	}
	return s
}
