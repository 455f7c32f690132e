package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// request sends one to the gateway, which must grant it.
func request(t *testing.T, g *gateway, req map[string]any) (*net.UnixConn, *bufio.Reader) {
	t.Helper()
	mine, theirs := unixPair(t)
	go func() {
		defer theirs.Close()
		g.handle(theirs)
	}()
	line, _ := json.Marshal(req)
	if _, err := mine.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(mine)
	_ = mine.SetReadDeadline(time.Now().Add(5 * time.Second))
	var reply Reply
	text, err := reader.ReadBytes('\n')
	if err != nil || json.Unmarshal(text, &reply) != nil || !reply.OK {
		t.Fatalf("%s %v", text, err)
	}
	return mine, reader
}

func attachNic(t *testing.T, g *gateway, mac macAddr, address string) *net.UnixConn {
	t.Helper()
	nic, _ := request(t, g, map[string]any{"op": "nic", "nic": NicSpec{Name: "m", MAC: net.HardwareAddr(mac[:]).String(), Addresses: []netip.Addr{addr(address)}}})
	if _, err := nic.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); g.sw.ports()[mac] == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the NIC was not attached")
		}
	}
	return nic
}

// acceptSegment answers the first segment of a connection as the machine does.
func acceptSegment(t *testing.T, nic net.Conn, syn []byte) {
	t.Helper()
	ip, tcp := syn[ethernetSize:], syn[ethernetSize+20:]
	r := make([]byte, 40)
	r[0], r[3], r[8], r[9] = 0x45, 40, 64, 6
	copy(r[12:16], ip[16:20])
	copy(r[16:20], ip[12:16])
	binary.BigEndian.PutUint16(r[10:], ^sum16(r[:20]))
	q := r[20:]
	copy(q[0:2], tcp[2:4])
	copy(q[2:4], tcp[0:2])
	binary.BigEndian.PutUint32(q[4:], 1000)
	binary.BigEndian.PutUint32(q[8:], binary.BigEndian.Uint32(tcp[4:])+1)
	q[12], q[13] = 0x50, 0x12
	binary.BigEndian.PutUint16(q[14:], 65535)
	pseudo := append(append([]byte{}, r[12:20]...), 0, 6, 0, 20)
	binary.BigEndian.PutUint16(q[16:], ^sum16(append(pseudo, q...)))
	frame := frameOf(ethernet(macAddr(syn[6:12]), macAddr(syn[0:6]), typeIPv4, r))
	if _, err := nic.Write(frame.buf); err != nil {
		t.Fatal(err)
	}
}

func sum16(data []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

func TestATunnelEndsWithTheNicOfItsMachine(t *testing.T) {
	g := testGateway(t)
	nic := attachNic(t, g, macA, "10.0.0.2")
	p := g.sw.ports()[macA]
	client, answers := request(t, g, map[string]any{"op": "tcp", "to": "10.0.0.2:80"})
	acceptSegment(t, nic, readFrame(t, nic))
	if ack := readFrame(t, nic); ack[ethernetSize+20+13]&0x10 == 0 {
		t.Fatalf("no connection: %x", ack)
	}
	_ = nic.Close()
	_ = client.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := answers.ReadByte(); err == nil || os.IsTimeout(err) {
		t.Errorf("the tunnel goes on: %v", err)
	}
	if p.beginTunnel(&tcpFlow{cancel: func() {}}) || g.beginTCP(p, &tcpFlow{cancel: func() {}}) {
		t.Error("a connection begins where the NIC is gone")
	}
}

func TestAChangedPolicyLeavesTunnels(t *testing.T) {
	g := testGateway(t)
	p, _ := testPort(t, g, macA, NicSpec{Addresses: []netip.Addr{addr("10.0.0.2")}})
	ended := false
	flow := &tcpFlow{to: netip.MustParseAddrPort("10.0.0.2:80"), cancel: func() { ended = true }}
	if !p.beginTunnel(flow) {
		t.Fatal("the NIC is there")
	}
	p.closeTCP(func(netip.AddrPort) bool { return true })
	if ended {
		t.Error("the policy is about other connections")
	}
	p.leave()
	if !ended {
		t.Error("the tunnel goes on")
	}
}
