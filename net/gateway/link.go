package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const nicID = 1

// link connects the gateway's network stack to the switch. It finds a machine by its address in the switch's table, so
// that the stack needs no ARP and cannot be spoofed.
type link struct {
	sw         *vswitch
	mtu        uint32
	dispatcher stack.NetworkDispatcher
}

func (l *link) MTU() uint32                      { return l.mtu }
func (l *link) SetMTU(uint32)                    {}
func (l *link) MaxHeaderLength() uint16          { return 0 }
func (l *link) LinkAddress() tcpip.LinkAddress   { return tcpip.LinkAddress(l.sw.gateway[:]) }
func (l *link) SetLinkAddress(tcpip.LinkAddress) {}
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}
func (l *link) Attach(dispatcher stack.NetworkDispatcher) { l.dispatcher = dispatcher }
func (l *link) IsAttached() bool                          { return l.dispatcher != nil }
func (l *link) Wait()                                     {}
func (l *link) ARPHardwareType() header.ARPHardwareType   { return header.ARPHardwareNone }
func (l *link) AddHeader(*stack.PacketBuffer)             {}
func (l *link) ParseHeader(*stack.PacketBuffer) bool      { return true }
func (l *link) Close()                                    {}
func (l *link) SetOnCloseAction(func())                   {}

// WritePackets never blocks, because the stack's workers serve all machines.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range list.AsSlice() {
		l.write(pkt)
	}
	return list.Len(), nil
}

func (l *link) write(pkt *stack.PacketBuffer) {
	to := l.sw.table.Load().byIP[toAddr(pkt.Network().DestinationAddress())]
	if to == nil {
		return
	}
	kind := uint16(typeIPv4)
	if pkt.NetworkProtocolNumber == ipv6.ProtocolNumber {
		kind = typeIPv6
	}
	size := ethernetSize + pkt.Size()
	f := getFrame(4 + size)
	binary.BigEndian.PutUint32(f.buf, uint32(size))
	copy(f.buf[4:], to.mac[:])
	copy(f.buf[10:], l.sw.gateway[:])
	binary.BigEndian.PutUint16(f.buf[16:], kind)
	at := 4 + ethernetSize
	for _, part := range pkt.AsSlices() {
		at += copy(f.buf[at:], part)
	}
	l.sw.egress(to, f)
}

// headersOf is the size of a packet's IP header and, of TCP, the next one.
func headersOf(kind uint16, ip []byte) int {
	at, protocol := 40, ip[6]
	if kind == typeIPv4 {
		at, protocol = max(20, int(ip[0]&15)*4), ip[9]
	}
	if protocol == 6 && len(ip) >= at+20 {
		at += int(ip[at+12]>>4) * 4
	}
	return min(at, len(ip))
}

// deliver passes a packet of a machine to the stack.
func (l *link) deliver(kind uint16, ip []byte) {
	protocol := ipv4.ProtocolNumber
	if kind == typeIPv6 {
		protocol = ipv6.ProtocolNumber
	}
	// The headers apart: the stack copies the whole piece that it reads a header from, where a segment in a queue still needs it.
	head := headersOf(kind, ip)
	payload := buffer.MakeWithData(ip[:head])
	if head < len(ip) {
		_ = payload.Append(buffer.NewViewWithData(ip[head:]))
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: payload})
	l.dispatcher.DeliverNetworkPacket(protocol, pkt)
	pkt.DecRef()
}

// newStack makes a stack with these addresses, which also acts for every other one.
func newStack(l *link, addresses []netip.Addr) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 256 << 10, Max: 4 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 256 << 10, Max: 2 << 20}
	// Inside a host no packet is delayed for long, and published ports close thousands of connections a minute: with the
	// usual TIME-WAIT of a minute the gateway's ports would run out.
	waiting, reuse, linger := tcpip.TCPTimeWaitTimeoutOption(2*time.Second), tcpip.TCPTimeWaitReuseOption(tcpip.TCPTimeWaitReuseGlobal), tcpip.TCPLingerTimeoutOption(10*time.Second)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &receive, &send, &waiting, &reuse, &linger} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, fmt.Errorf("TCP: %v", err)
		}
	}
	if err := s.CreateNIC(nicID, l); err != nil {
		return nil, fmt.Errorf("NIC: %v", err)
	}
	routes := []tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}}
	if l.sw.config.Subnet6.IsValid() {
		routes = append(routes, tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: nicID})
	}
	for _, addr := range addresses {
		own := tcpip.ProtocolAddress{Protocol: protocolOf(addr), AddressWithPrefix: fromAddr(addr).WithPrefix()}
		if err := s.AddProtocolAddress(nicID, own, stack.AddressProperties{}); err != nil {
			return nil, fmt.Errorf("address %v: %v", addr, err)
		}
	}
	s.SetRouteTable(routes)
	// Promiscuous and spoofing, because the gateway acts for every outside address.
	s.SetSpoofing(nicID, true)
	s.SetPromiscuousMode(nicID, true)
	return s, nil
}

func toAddr(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}

func fromAddr(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// send builds a packet from one address to another, fragments it if it is too long, and routes it.
func send(s *stack.Stack, from, to netip.Addr, transport tcpip.TransportProtocolNumber, head int, fill func(*stack.Route, *stack.PacketBuffer), payload []byte) {
	route, err := s.FindRoute(nicID, fromAddr(from), fromAddr(to), protocolOf(to), false)
	if err != nil {
		return
	}
	defer route.Release()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: head + int(route.MaxHeaderLength()),
		Payload:            buffer.MakeWithData(payload),
	})
	defer pkt.DecRef()
	fill(route, pkt)
	_ = route.WritePacket(stack.NetworkHeaderParams{Protocol: transport, TTL: 64}, pkt)
}

func sendUDP(s *stack.Stack, from, to netip.AddrPort, payload []byte) {
	size := uint16(header.UDPMinimumSize + len(payload))
	send(s, from.Addr(), to.Addr(), udp.ProtocolNumber, header.UDPMinimumSize, func(route *stack.Route, pkt *stack.PacketBuffer) {
		head := header.UDP(pkt.TransportHeader().Push(header.UDPMinimumSize))
		pkt.TransportProtocolNumber = udp.ProtocolNumber
		head.Encode(&header.UDPFields{SrcPort: from.Port(), DstPort: to.Port(), Length: size})
		sum := route.PseudoHeaderChecksum(udp.ProtocolNumber, size)
		sum = checksumCombine(sum, pkt.Data().Checksum())
		head.SetChecksum(^head.CalculateChecksum(sum))
	}, payload)
}

func checksumCombine(a, b uint16) uint16 {
	sum := uint32(a) + uint32(b)
	return uint16(sum + sum>>16)
}
