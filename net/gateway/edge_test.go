package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hypr/gateway/policy"
)

// syn is a segment of TCP that opens a connection, or with flags of its own.
func syn(from, to string, flags byte) []byte {
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	ip := make([]byte, 40)
	ip[0], ip[3], ip[8], ip[9] = 0x45, 40, 64, 6
	copy(ip[12:], src.Addr().AsSlice())
	copy(ip[16:], dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[20:], src.Port())
	binary.BigEndian.PutUint16(ip[22:], dst.Port())
	ip[32], ip[33] = 0x50, flags
	binary.BigEndian.PutUint16(ip[34:], 65535)
	return ethernet(macB, macA, typeIPv4, ip)
}

func asked(t *testing.T, q *queue) *EdgeEvent {
	t.Helper()
	for range 100 {
		q.mu.Lock()
		if len(q.frames) > 0 {
			var event EdgeEvent
			if err := json.Unmarshal(q.frames[0].buf, &event); err != nil {
				t.Fatal(err)
			}
			q.frames = nil
			q.mu.Unlock()
			return &event
		}
		q.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func TestPort443OfAMachineIsASupervisorsWhereItSaysSo(t *testing.T) {
	g := testGateway(t)
	a, _ := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3")}})
	_, wire := testPort(t, g, macB, NicSpec{Addresses: []netip.Addr{addr("10.0.0.4")}})
	q := newQueue(1 << 20)
	for _, bad := range []string{"10.0.0.1", "10.0.0.254", "10.0.1.4", "127.0.0.1"} {
		if g.edges.set(map[netip.Addr]uint16{addr(bad): 3000}, q, g.config) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	first := syn("10.0.0.3:5000", "10.0.0.4:443", 2)
	g.sw.ingress(a, frameOf(first))
	if got := readFrame(t, wire); string(got) != string(first) {
		t.Errorf("443 of a machine that nobody speaks for came as %x", got)
	}
	if err := g.edges.set(map[netip.Addr]uint16{addr("10.0.0.4"): 3000}, q, g.config); err != nil {
		t.Fatal(err)
	}
	g.sw.ingress(a, frameOf(first))
	event := asked(t, q)
	if event == nil || event.From.String() != "10.0.0.3:5000" || event.To.String() != "10.0.0.4:443" {
		t.Fatalf("the supervisor was asked %+v", event)
	}
	// Other ports, and connections that were open before, stay the machine's.
	for _, own := range [][]byte{syn("10.0.0.3:5001", "10.0.0.4:80", 2), syn("10.0.0.3:5002", "10.0.0.4:443", 0x10)} {
		g.sw.ingress(a, frameOf(own))
		if got := readFrame(t, wire); string(got) != string(own) {
			t.Errorf("the machine's own segment came as %x", got)
		}
	}
	g.edges.leave(q)
	g.sw.ingress(a, frameOf(syn("10.0.0.3:5003", "10.0.0.4:443", 2)))
	readFrame(t, wire)
}

func TestWhoMayNotReachAMachinesPortMayNotByIts443(t *testing.T) {
	g := testGateway(t)
	rules := &policy.Spec{Default: "allow", Rules: []policy.RuleSpec{{Action: "deny", To: []string{"10.0.0.4"}, Protocol: "tcp", Ports: []string{"3000"}}}}
	a, wire := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3")}, Peers: rules})
	testPort(t, g, macB, NicSpec{Addresses: []netip.Addr{addr("10.0.0.4")}})
	q := newQueue(1 << 20)
	if err := g.edges.set(map[netip.Addr]uint16{addr("10.0.0.4"): 3000}, q, g.config); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		eth := syn("10.0.0.3:5000", "10.0.0.4:443", 2)
		g.sw.ingress(a, frameOf(eth))
		if got := readFrame(t, wire); got[ethernetSize+33]&4 == 0 {
			t.Errorf("the answer is no reset: %x", got)
		}
	}
	if len(q.frames) != 0 || a.refused.Load() != 2 {
		t.Errorf("%d refusals, and the supervisor was asked %d times", a.refused.Load(), len(q.frames))
	}
}

func TestAConnectionToPort443GoesToTheSupervisorAndTheMachineStaysReachable(t *testing.T) {
	g := testGateway(t)
	a, wireA := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.3")}})
	_, wireB := testPort(t, g, macB, NicSpec{Addresses: []netip.Addr{addr("10.0.0.4")}})
	q := newQueue(1 << 20)
	if err := g.edges.set(map[netip.Addr]uint16{addr("10.0.0.4"): 3000}, q, g.config); err != nil {
		t.Fatal(err)
	}
	first := syn("10.0.0.3:5000", "10.0.0.4:443", 2)
	g.sw.ingress(a, frameOf(first))
	event := asked(t, q)
	if event == nil {
		t.Fatal("the supervisor was not asked")
	}
	mine, theirs := unixPair(t)
	go func() { _ = g.fetch(event.Edge, 0, theirs) }()
	granted := make([]byte, len(`{"ok":true}`)+1)
	if _, err := io.ReadFull(mine, granted); err != nil {
		t.Fatal(err)
	}
	accepted := readFrame(t, wireA)[ethernetSize:]
	if accepted[33] != 0x12 || netip.AddrFrom4([4]byte(accepted[12:16])) != addr("10.0.0.4") {
		t.Fatalf("the machine was answered %x", accepted)
	}
	ack := syn("10.0.0.3:5000", "10.0.0.4:443", 0x18)
	binary.BigEndian.PutUint32(ack[ethernetSize+24:], 1)
	binary.BigEndian.PutUint32(ack[ethernetSize+28:], binary.BigEndian.Uint32(accepted[24:])+1)
	ack = append(ack, "hello"...)
	ack[ethernetSize+3] = byte(len(ack) - ethernetSize)
	g.sw.ingress(a, frameOf(ack))
	got := make([]byte, 5)
	_ = mine.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(mine, got); err != nil || string(got) != "hello" {
		t.Fatalf("the supervisor read %q: %v", got, err)
	}
	// The stack that speaks for the machine's address is not the one that connects to it.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _, _ = g.dialGuest(ctx, netip.MustParseAddrPort("10.0.0.4:3000")) }()
	if dialled := readFrame(t, wireB)[ethernetSize:]; dialled[33] != 2 || binary.BigEndian.Uint16(dialled[22:]) != 3000 {
		t.Errorf("the machine was sent %x", dialled)
	}
	// Nor does the gateway's own address lead there.
	direct := syn("10.0.0.3:5009", "10.0.0.4:443", 2)
	copy(direct, g.sw.gateway[:])
	g.sw.ingress(a, frameOf(direct))
	for a.refused.Load() == 0 {
		if frame := readFrame(t, wireA)[ethernetSize:]; frame[33]&4 != 0 {
			break
		}
	}
	if a.refused.Load() != 1 {
		t.Error("a machine's 443 is reached through the gateway")
	}
}

func unixPair(t *testing.T) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		conn, err := net.FileConn(file)
		_ = file.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}
