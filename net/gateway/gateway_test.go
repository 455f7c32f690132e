package main

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"hypr/gateway/policy"
)

var (
	macA = macAddr{2, 0, 0, 0, 0, 0xa}
	macB = macAddr{2, 0, 0, 0, 0, 0xb}
	addr = netip.MustParseAddr
)

func testConfig() *Config {
	c := &Config{Network: "n", Socket: "s", Subnet: netip.MustParsePrefix("10.0.0.0/24"), Gateway: addr("10.0.0.1"), Host: addr("10.0.0.254"), MTU: 1500}
	c.Subnet6, c.Gateway6 = netip.MustParsePrefix("fd00::/64"), addr("fd00::1")
	c.Limits.fill()
	return c
}

func testGateway(t testing.TB) *gateway {
	t.Helper()
	g, err := newGateway(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.stack.Destroy)
	t.Cleanup(g.edges.stack.Destroy)
	return g
}

// testPort is a machine whose end of the stream is in the test's hand.
func testPort(t testing.TB, g *gateway, mac macAddr, spec NicSpec) (*port, net.Conn) {
	t.Helper()
	mine, theirs := net.Pipe()
	spec.MAC = net.HardwareAddr(mac[:]).String()
	p, err := newPort(spec, theirs, g.config)
	if err != nil {
		t.Fatal(err)
	}
	g.sw.add(p)
	go p.out.drain(theirs)
	t.Cleanup(func() { g.sw.remove(p); _ = mine.Close() })
	return p, mine
}

func readFrame(t testing.TB, conn net.Conn) []byte {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	return body
}

func frameOf(eth []byte) *frame {
	f := getFrame(4 + len(eth))
	binary.BigEndian.PutUint32(f.buf, uint32(len(eth)))
	copy(f.buf[4:], eth)
	return f
}

func ethernet(to, from macAddr, kind uint16, body []byte) []byte {
	eth := append(append(append([]byte{}, to[:]...), from[:]...), byte(kind>>8), byte(kind))
	return append(eth, body...)
}

func TestNoGatewayDialsWhatIsTheHostsOwn(t *testing.T) {
	g := testGateway(t)
	g.config.Blocked = []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32")}
	p, _ := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3")}})
	for _, to := range []string{
		"127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1", "10.0.0.254", "10.0.0.9", "10.0.0.255",
		"198.51.100.7", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "fe80::1", "ff02::1", "fec0::1", "fd00::9",
	} {
		if dial, why := g.mayLeave(p, "tcp", netip.AddrPortFrom(addr(to), 80)); why == "" {
			t.Errorf("%s leads to %v", to, dial)
		}
	}
	for _, to := range []string{"8.8.8.8", "10.0.1.1", "2001:db8::1"} {
		if _, why := g.mayLeave(p, "tcp", netip.AddrPortFrom(addr(to), 80)); why != "" {
			t.Errorf("%s is refused: %s", to, why)
		}
	}
	p.spec.Host = true
	if dial, why := g.mayLeave(p, "tcp", netip.MustParseAddrPort("10.0.0.254:80")); why != "" || dial.String() != "127.0.0.1:80" {
		t.Errorf("the host leads to %v %s", dial, why)
	}
	g.config.Internal = true
	for _, to := range []string{"10.0.0.254", "8.8.8.8"} {
		if _, why := g.mayLeave(p, "tcp", netip.AddrPortFrom(addr(to), 80)); why != "internal" {
			t.Errorf("an internal network leads to %s", to)
		}
	}
}

func TestAFullQueueDropsAndASlowReaderIsWaitedForOnce(t *testing.T) {
	q := newQueue(10 * 100)
	for range 10 {
		if !q.put(getFrame(100), false) {
			t.Fatal("a frame that fits was dropped")
		}
	}
	begin := time.Now()
	for range 100 {
		if q.put(getFrame(100), true) {
			t.Fatal("a frame that does not fit was taken")
		}
	}
	if waited := time.Since(begin); waited < stallWait || waited > 4*stallWait {
		t.Errorf("100 frames to a stuck reader took %v", waited)
	}
	if _, dropped := q.counters(); dropped != 100 {
		t.Errorf("%d dropped", dropped)
	}
	mine, theirs := net.Pipe()
	go q.drain(theirs)
	if _, err := io.CopyN(io.Discard, mine, 1000); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !q.put(getFrame(100), true); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatal("a reader that reads again is still stuck")
		}
	}
	q.close()
	_ = mine.Close()
}

func TestTheSwitchTakesNothingThatIsNotTheMachinesOwn(t *testing.T) {
	g := testGateway(t)
	a, _ := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3"), addr("fd00::3")}})
	b, wire := testPort(t, g, macB, NicSpec{Addresses: []netip.Addr{addr("10.0.0.4"), addr("fd00::4")}})
	ip4 := func(from, to string) []byte {
		ip := make([]byte, 28)
		ip[0], ip[9] = 0x45, 17
		copy(ip[12:], addr(from).AsSlice())
		copy(ip[16:], addr(to).AsSlice())
		return ip
	}
	ip6 := func(from, to string, next byte, body []byte) []byte {
		ip := make([]byte, 40, 40+len(body))
		ip[0], ip[6], ip[7] = 0x60, next, 255
		copy(ip[8:], addr(from).AsSlice())
		copy(ip[24:], addr(to).AsSlice())
		return append(ip, body...)
	}
	advert := func(target string, option macAddr) []byte {
		m := make([]byte, 32)
		m[0] = 136
		copy(m[8:], addr(target).AsSlice())
		m[24], m[25] = 2, 1
		copy(m[26:], option[:])
		return m
	}
	bad := [][]byte{
		ethernet(macB, macB, typeIPv4, ip4("10.0.0.4", "10.0.0.4")),
		ethernet(macB, macA, typeIPv4, ip4("10.0.0.5", "10.0.0.4")),
		ethernet(macB, macA, typeIPv4, ip4("10.0.0.1", "10.0.0.4")),
		ethernet(macB, macA, typeIPv6, ip6("fd00::5", "fd00::4", 17, make([]byte, 8))),
		ethernet(macB, macA, typeIPv6, ip6("fe80::1", "fd00::4", 17, make([]byte, 8))),
		ethernet(macB, macA, typeIPv6, ip6("fd00::3", "fd00::4", 58, advert("fd00::1", macA))),
		ethernet(macB, macA, typeIPv6, ip6("fd00::3", "fd00::4", 58, advert("fd00::3", macB))),
		ethernet(macB, macA, typeIPv6, ip6("fd00::3", "ff02::1", 58, []byte{134, 0, 0, 0, 64, 0, 7, 8})), // a router
		ethernet(macB, macA, typeIPv6, ip6("fd00::3", "fd00::4", 58, []byte{137, 0, 0, 0, 0, 0, 0, 0})),  // a redirect
		ethernet(macB, macA, 0x88cc, make([]byte, 50)),
	}
	// What hides a claim behind extension headers; the first eight bytes of a header are its next, its length and options.
	hidden := [][]byte{
		ip6("fd00::3", "fd00::4", 0, append([]byte{58, 0, 1, 4, 0, 0, 0, 0}, advert("fd00::1", macA)...)),
		ip6("fd00::3", "fd00::4", 60, append([]byte{58, 0, 1, 4, 0, 0, 0, 0}, advert("fd00::3", macA)...)),
		ip6("fd00::3", "fd00::4", 43, append([]byte{58, 0, 4, 0, 0, 0, 0, 0}, advert("fd00::1", macA)...)),
		ip6("fd00::3", "fd00::4", 0, append([]byte{60, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0}, advert("fd00::1", macA)...)),
		ip6("fd00::3", "fd00::4", 51, append([]byte{58, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}, advert("fd00::1", macA)...)),
		ip6("fd00::3", "fd00::4", 44, append([]byte{58, 0, 0, 0, 0, 0, 0, 1}, advert("fd00::1", macA)...)),     // all there is
		ip6("fd00::3", "fd00::4", 44, append([]byte{58, 0, 0, 1, 0, 0, 0, 1}, advert("fd00::1", macA)[:8]...)), // the first of several
		ip6("fd00::3", "fd00::4", 44, []byte{60, 0, 0, 1, 0, 0, 0, 1, 58, 0, 1, 4, 0, 0, 0, 0}),                // the type is in the second
		ip6("fd00::3", "fd00::4", 44, []byte{60, 0, 0, 1, 0, 0, 0, 1, 58, 1, 1, 12, 0, 0, 0, 0}),               // and so is a header's end
		ip6("fd00::3", "fd00::4", 0, []byte{58}),
	}
	for _, ip := range hidden {
		bad = append(bad, ethernet(macB, macA, typeIPv6, ip), ethernet(g.sw.gateway, macA, typeIPv6, ip))
	}
	for _, eth := range bad {
		before := a.spoofed.Load()
		g.sw.ingress(a, frameOf(eth))
		if a.spoofed.Load() != before+1 {
			t.Errorf("%x was not noticed", eth)
		}
	}
	if got := a.spoofed.Load(); got != uint64(len(bad)) {
		t.Errorf("%d of %d were noticed", got, len(bad))
	}
	for _, ip := range [][]byte{
		ip6("fd00::3", "fd00::4", 58, advert("fd00::3", macA)),
		ip6("fd00::3", "fd00::4", 0, []byte{58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0}), // a report of multicast listeners
		ip6("fd00::3", "fd00::4", 60, append([]byte{17, 0, 1, 4, 0, 0, 0, 0}, make([]byte, 8)...)),
		ip6("fd00::3", "fd00::4", 44, append([]byte{58, 0, 0, 1, 0, 0, 0, 1}, make([]byte, 16)...)), // the first of a long ping
		ip6("fd00::3", "fd00::4", 44, append([]byte{58, 0, 0, 16, 0, 0, 0, 1}, 136, 0, 0, 0)),       // and the second
	} {
		good := ethernet(macB, macA, typeIPv6, ip)
		g.sw.ingress(a, frameOf(good))
		if got := readFrame(t, wire); string(got) != string(good) {
			t.Errorf("what is its own came as %x", got)
		}
	}
	_ = b
}

func TestNeighbourDiscoveryIsAnsweredForTheGateway(t *testing.T) {
	g := testGateway(t)
	p, wire := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("fd00::3")}})
	ask := make([]byte, 72)
	ask[0], ask[5], ask[6], ask[7] = 0x60, 32, 58, 255
	copy(ask[8:], addr("fd00::3").AsSlice())
	copy(ask[24:], addr("ff02::1:ff00:1").AsSlice())
	ask[40] = 135
	copy(ask[48:], addr("fd00::1").AsSlice())
	ask[64], ask[65] = 1, 1
	copy(ask[66:], macA[:])
	g.sw.ingress(p, frameOf(ethernet(macAddr{0x33, 0x33, 0xff, 0, 0, 1}, macA, typeIPv6, ask)))
	got := readFrame(t, wire)[ethernetSize:]
	if got[40] != 136 || netip.AddrFrom16([16]byte(got[48:64])) != addr("fd00::1") || macAddr(got[66:72]) != g.sw.gateway {
		t.Errorf("%x", got)
	}
	if checksum6(got[8:40], 58, got[40:]) != 0 {
		t.Error("the checksum is wrong")
	}
}

// TestAnythingCanArrive throws mutated packets at the whole gateway: it must neither panic nor let one through as another's.
func TestAnythingCanArrive(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	g := testGateway(t)
	rules := &policy.Spec{Default: "deny", Rules: []policy.RuleSpec{{Action: "allow", To: []string{"10.0.0.4"}, Ports: []string{"80"}}}}
	a, _ := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3"), addr("fd00::3")}, Egress: rules, Peers: rules})
	b, wire := testPort(t, g, macB, NicSpec{Addresses: []netip.Addr{addr("10.0.0.4"), addr("fd00::4")}})
	_ = b
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		_, _ = io.Copy(io.Discard, wire)
	}()
	for range 60000 {
		eth := make([]byte, random.IntN(120))
		for i := range eth {
			eth[i] = byte(random.Uint32())
		}
		if len(eth) > 40 {
			to := [][]byte{macB[:], g.sw.gateway[:], broadcastMAC[:]}[random.IntN(3)]
			copy(eth, to)
			copy(eth[6:], macA[:])
			kind := []uint16{typeIPv4, typeIPv6, typeARP}[random.IntN(3)]
			binary.BigEndian.PutUint16(eth[12:], kind)
			if random.IntN(4) > 0 {
				if kind == typeIPv4 {
					eth[14] = 0x40 | byte(random.IntN(16))
					copy(eth[26:], addr("10.0.0.3").AsSlice())
					eth[23] = []byte{1, 6, 17, 50}[random.IntN(4)]
					binary.BigEndian.PutUint16(eth[16:], uint16(len(eth)-14))
				} else if kind == typeIPv6 {
					eth[14], eth[20] = 0x60, []byte{58, 6, 17, 0, 43, 44}[random.IntN(6)]
				}
			}
		}
		g.sw.ingress(a, frameOf(eth))
	}
	a.closeTCP(func(netip.AddrPort) bool { return true })
	a.closeUDP(func(netip.AddrPort) bool { return true })
	g.sw.remove(b)
	<-stop
}

func TestNamesAreAnsweredWithoutCase(t *testing.T) {
	g := testGateway(t)
	g.dns.setNames(map[string][]netip.Addr{"Db.Shop.hypr": {addr("10.0.0.7"), addr("10.0.0.8"), addr("fd00::7")}})
	p, _ := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3")}})
	ask := func(name string, kind uint16) *dns.Msg {
		m := new(dns.Msg).SetQuestion(name, kind)
		packed, _ := m.Pack()
		var answer *dns.Msg
		g.dns.datagram(p, packed, func(reply []byte) {
			answer = new(dns.Msg)
			if err := answer.Unpack(reply); err != nil {
				t.Fatal(err)
			}
		})
		return answer
	}
	if a := ask("dB.sHop.hypr.", dns.TypeA); len(a.Answer) != 2 || a.Question[0].Name != "dB.sHop.hypr." {
		t.Errorf("%v", a)
	}
	if a := ask("db.shop.hypr.", dns.TypeAAAA); len(a.Answer) != 1 {
		t.Errorf("%v", a)
	}
	if a := ask("db.shop.hypr.", dns.TypeMX); a.Rcode != dns.RcodeSuccess || len(a.Answer) != 0 {
		t.Errorf("%v", a)
	}
	for _, name := range []string{"other.hypr.", "host.docker.internal.", "hypr."} {
		if a := ask(name, dns.TypeA); a.Rcode != dns.RcodeNameError {
			t.Errorf("%s: %v", name, a)
		}
	}
	g.dns.datagram(p, []byte{1, 2, 3}, func([]byte) { t.Error("nonsense is answered") })
}

func TestALongAnswerIsTruncatedForDatagrams(t *testing.T) {
	g := testGateway(t)
	var many []netip.Addr
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	g.dns.setNames(map[string][]netip.Addr{"many.hypr": many})
	p, _ := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3")}})
	packed, _ := new(dns.Msg).SetQuestion("many.hypr.", dns.TypeA).Pack()
	g.dns.datagram(p, packed, func(reply []byte) {
		answer := new(dns.Msg)
		if err := answer.Unpack(reply); err != nil || len(reply) > dns.MinMsgSize || !answer.Truncated {
			t.Errorf("%d bytes, truncated %v, %v", len(reply), answer.Truncated, err)
		}
	})
}

// startServer is a name server of the outside.
func startServer(t *testing.T, handler dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", conn.LocalAddr().String())
	if err != nil {
		t.Skip("the port is taken for TCP")
	}
	servers := []*dns.Server{{PacketConn: conn, Handler: handler}, {Listener: listener, Handler: handler}}
	for _, server := range servers {
		go func() { _ = server.ActivateAndServe() }()
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

func TestOtherNamesAreAskedForCachedAndTiedToTheirAddresses(t *testing.T) {
	g := testGateway(t)
	var asked atomic.Int32
	server := startServer(t, func(w dns.ResponseWriter, m *dns.Msg) {
		asked.Add(1)
		answer := new(dns.Msg).SetReply(m)
		rr, _ := dns.NewRR(m.Question[0].Name + " 60 IN A 192.0.2.10")
		answer.Answer = append(answer.Answer, rr)
		_ = w.WriteMsg(answer)
	})
	dead := netip.MustParseAddrPort("127.0.0.1:1")
	g.dns.setServers([]netip.AddrPort{dead}, []netip.AddrPort{server})
	rules := &policy.Spec{Default: "deny", Rules: []policy.RuleSpec{{Action: "allow", To: []string{"*.example.com"}}}}
	p, _ := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3")}, Egress: rules})
	to := netip.MustParseAddrPort("192.0.2.10:443")
	if _, why := g.mayLeave(p, "tcp", to); why != "policy" {
		t.Error("an address is allowed before its name was asked for")
	}
	question := new(dns.Msg).SetQuestion("api.Example.com.", dns.TypeA)
	for range 3 {
		answer := g.dns.known(p, question)
		if answer == nil {
			answer = g.dns.ask(p, question)
		}
		if len(answer.Answer) != 1 || answer.Id != question.Id {
			t.Fatalf("%v", answer)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	if _, why := g.mayLeave(p, "tcp", to); why != "" {
		t.Errorf("the address of an allowed name is refused: %s", why)
	}
	if a := g.dns.known(p, new(dns.Msg).SetQuestion("evil.example.", dns.TypeA)); a == nil || a.Rcode != dns.RcodeRefused {
		t.Error("a name outside the list is asked for")
	}
	g.dns.setServers([]netip.AddrPort{dead}, nil)
	if a := g.dns.ask(p, question); a.Rcode != dns.RcodeServerFailure {
		t.Errorf("%v", a)
	}
}

func TestEventsOfASecondAreOneLine(t *testing.T) {
	g := testGateway(t)
	p, _ := testPort(t, g, macA, NicSpec{Name: "web", Addresses: []netip.Addr{addr("10.0.0.3")}})
	q := newQueue(1 << 20)
	g.events.listen(q)
	for i := range 10000 {
		g.events.refused(p, "tcp", netip.AddrPortFrom(addr("1.2.3.4"), uint16(i)), "policy", "")
	}
	g.events.flush()
	q.mu.Lock()
	defer q.mu.Unlock()
	if lines := len(q.frames); lines < 2 || lines > maxKinds+1 {
		t.Errorf("%d lines", lines)
	}
}

func TestALogEndsAtItsLimit(t *testing.T) {
	var text strings.Builder
	w := limitedWriter{to: &text, left: 100}
	for range 1000 {
		if n, err := w.Write([]byte("0123456789\n")); n != 11 && err == nil && text.Len() < 100 {
			t.Fatal(n)
		}
	}
	if text.Len() > 200 || !strings.Contains(text.String(), "ends here") {
		t.Errorf("%d bytes", text.Len())
	}
}

func TestASpliceEndsWithItsContext(t *testing.T) {
	g := testGateway(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := g.dialGuest(ctx, netip.MustParseAddrPort("10.0.0.77:80")); err == nil {
		t.Error("nobody was connected to")
	}
}

func TestLimitsFitIntoTheDescriptorsThatThereAre(t *testing.T) {
	for _, descriptors := range []int{256, 1024, 4096, 32768} {
		var l Limits
		l.fill()
		l.fit(descriptors)
		if all := l.NetworkTCP + l.NetworkUDP + l.Tunnels; all > descriptors-100 || all < descriptors/4 {
			t.Errorf("%d of %d are used", all, descriptors)
		}
		if l.MachineTCP > l.NetworkTCP || l.MachineUDP > l.NetworkUDP {
			t.Errorf("one machine may have more than all: %+v", l)
		}
	}
}
