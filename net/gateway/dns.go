package main

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"hypr/gateway/policy"
)

// resolver answers DNS queries from its own table, and forwards all others to the host's resolvers.
type resolver struct {
	g       *gateway
	names   atomic.Pointer[map[string][]netip.Addr]
	servers atomic.Pointer[[]netip.AddrPort]
	mu      sync.Mutex
	cache   map[dns.Question]cached
	pending atomic.Int32
}

type cached struct {
	reply *dns.Msg
	until time.Time
	made  time.Time
}

const (
	nameTTL       = 5
	maxCached     = 4096
	longestCached = 5 * time.Minute
	askTime       = 2 * time.Second
	maxAsked      = 2048
	maxDNSConns   = 32
	dnsConnIdle   = 10 * time.Second
)

func (r *resolver) setNames(names map[string][]netip.Addr) {
	table := make(map[string][]netip.Addr, len(names))
	for name, addresses := range names {
		table[policy.NormalizeName(name)] = addresses
	}
	r.names.Store(&table)
}

func (r *resolver) setServers(servers, fallback []netip.AddrPort) {
	all := append(append([]netip.AddrPort{}, servers...), fallback...)
	r.servers.Store(&all)
	r.mu.Lock()
	r.cache = make(map[dns.Question]cached)
	r.mu.Unlock()
}

// datagram answers at once on the caller's goroutine if possible, and forwards other queries on a new one.
func (r *resolver) datagram(p *port, query []byte, reply func([]byte)) {
	m := new(dns.Msg)
	if m.Unpack(query) != nil || m.Response {
		return
	}
	size := dns.MinMsgSize
	if edns := m.IsEdns0(); edns != nil {
		size = min(max(size, int(edns.UDPSize())), 4096)
	}
	write := func(answer *dns.Msg) {
		answer.Truncate(size)
		if packed, err := answer.Pack(); err == nil {
			reply(packed)
		}
	}
	if answer := r.known(p, m); answer != nil {
		write(answer)
		return
	}
	if !r.begin(p) {
		p.limited.Add(1)
		r.g.events.limited(p, "queries to name servers")
		write(failure(m, dns.RcodeServerFailure))
		return
	}
	go func() {
		defer p.questions.Add(-1)
		defer r.pending.Add(-1)
		write(r.ask(p, m))
	}()
}

// begin counts a query to the name servers, of this machine and of all; false if either has too many, and then it counts for neither.
func (r *resolver) begin(p *port) bool {
	if p.questions.Add(1) > int32(r.g.config.Limits.DNSPerMachine) {
		p.questions.Add(-1)
		return false
	}
	if r.pending.Add(1) > maxAsked {
		r.pending.Add(-1)
		p.questions.Add(-1)
		return false
	}
	return true
}

func failure(m *dns.Msg, code int) *dns.Msg { return new(dns.Msg).SetRcode(m, code) }

// known answers from the table or the cache, or refuses; nil if the query has to be forwarded.
func (r *resolver) known(p *port, m *dns.Msg) *dns.Msg {
	if m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 {
		return failure(m, dns.RcodeNotImplemented)
	}
	q := m.Question[0]
	name := policy.NormalizeName(q.Name)
	hostName := name == "host.docker.internal" || name == "host.hypr"
	addresses, found := (*r.names.Load())[name]
	if hostName && p.spec.Host && !r.g.config.Internal {
		addresses, found = []netip.Addr{r.g.config.Host}, true
	}
	if found {
		return addressReply(m, addresses)
	}
	own := hostName || name == "hypr" || strings.HasSuffix(name, ".hypr") || strings.HasSuffix(name, ".docker.internal")
	if r.g.config.Internal || own {
		return failure(m, dns.RcodeNameError)
	}
	if !p.egress.Load().Resolves(name) {
		p.refused.Add(1)
		r.g.events.refused(p, "dns", netip.AddrPort{}, "policy", name)
		return failure(m, dns.RcodeRefused)
	}
	answer := r.cachedReply(q)
	if answer != nil {
		answer.SetReply(m)
		answer.RecursionAvailable = true
		r.tie(p, name, answer)
	}
	return answer
}

func addressReply(m *dns.Msg, addresses []netip.Addr) *dns.Msg {
	answer := new(dns.Msg).SetReply(m)
	answer.Authoritative, answer.RecursionAvailable = true, true
	q := m.Question[0]
	for _, addr := range addresses {
		head := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Ttl: nameTTL}
		if addr.Is4() && q.Qtype == dns.TypeA {
			head.Rrtype = dns.TypeA
			answer.Answer = append(answer.Answer, &dns.A{Hdr: head, A: addr.AsSlice()})
		} else if addr.Is6() && q.Qtype == dns.TypeAAAA {
			head.Rrtype = dns.TypeAAAA
			answer.Answer = append(answer.Answer, &dns.AAAA{Hdr: head, AAAA: addr.AsSlice()})
		}
	}
	return answer
}

// ask tries the resolvers in turn until one gives an answer.
func (r *resolver) ask(p *port, m *dns.Msg) *dns.Msg {
	forwarded := m.Copy()
	forwarded.Id = dns.Id()
	for _, server := range *r.servers.Load() {
		answer, err := exchange(forwarded, server)
		if err != nil || answer.Rcode == dns.RcodeServerFailure || answer.Rcode == dns.RcodeRefused {
			continue
		}
		answer.Id = m.Id
		r.keep(m.Question[0], answer)
		r.tie(p, policy.NormalizeName(m.Question[0].Name), answer)
		return answer
	}
	return failure(m, dns.RcodeServerFailure)
}

func exchange(m *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*askTime)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		client := dns.Client{Net: network + family(server), Timeout: askTime, UDPSize: 4096}
		answer, _, err := client.ExchangeContext(ctx, m, server.String())
		if err != nil || network == "tcp" || !answer.Truncated {
			return answer, err
		}
	}
	return nil, context.DeadlineExceeded
}

func (r *resolver) keep(q dns.Question, answer *dns.Msg) {
	if answer.Truncated || answer.Rcode != dns.RcodeSuccess || len(answer.Answer) == 0 {
		return
	}
	ttl := longestCached
	for _, rr := range answer.Answer {
		ttl = min(ttl, time.Duration(rr.Header().Ttl)*time.Second)
	}
	if ttl <= 0 {
		return
	}
	q.Name = strings.ToLower(q.Name)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	policy.MakeRoom(r.cache, maxCached)
	r.cache[q] = cached{answer.Copy(), now.Add(ttl), now}
}

func (r *resolver) cachedReply(q dns.Question) *dns.Msg {
	q.Name = strings.ToLower(q.Name)
	r.mu.Lock()
	hit, found := r.cache[q]
	r.mu.Unlock()
	now := time.Now()
	if !found || now.After(hit.until) {
		return nil
	}
	answer := hit.reply.Copy()
	for _, rr := range answer.Answer {
		rr.Header().Ttl -= min(rr.Header().Ttl, uint32(now.Sub(hit.made)/time.Second))
	}
	return answer
}

// tie remembers the addresses of a name, for a machine with rules. Addresses that are always blocked stay blocked.
func (r *resolver) tie(p *port, name string, answer *dns.Msg) {
	if p.egress.Load() == nil {
		return
	}
	for _, rr := range answer.Answer {
		var addr netip.Addr
		switch record := rr.(type) {
		case *dns.A:
			addr, _ = netip.AddrFromSlice(record.A.To4())
		case *dns.AAAA:
			addr, _ = netip.AddrFromSlice(record.AAAA)
		}
		if addr.IsValid() {
			p.learned.Add(addr, name, time.Duration(rr.Header().Ttl)*time.Second)
		}
	}
}

// serveTCP answers over TCP on an address of the gateway.
func (r *resolver) serveTCP(addr netip.Addr) error {
	listener, err := gonet.ListenTCP(r.g.stack, tcpip.FullAddress{NIC: nicID, Addr: fromAddr(addr), Port: 53}, protocolOf(addr))
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			from, err := netip.ParseAddrPort(conn.RemoteAddr().String())
			p := r.g.sw.table.Load().byIP[from.Addr()]
			if err != nil || p == nil || p.dnsConns.Add(1) > maxDNSConns {
				if p != nil {
					p.dnsConns.Add(-1)
				}
				_ = conn.Close()
				continue
			}
			go func() {
				defer p.dnsConns.Add(-1)
				defer conn.Close()
				r.stream(p, conn)
			}()
		}
	}()
	return nil
}

func (r *resolver) stream(p *port, conn net.Conn) {
	wire := &dns.Conn{Conn: conn}
	for {
		_ = conn.SetDeadline(time.Now().Add(dnsConnIdle))
		m, err := wire.ReadMsg()
		if err != nil || m.Response {
			return
		}
		answer := r.known(p, m)
		if answer == nil {
			answer = r.ask(p, m)
		}
		if wire.WriteMsg(answer) != nil {
			return
		}
	}
}
