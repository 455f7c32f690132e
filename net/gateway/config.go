package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Config is what the supervisor writes to stdin before the sandbox is applied. No files are read.
type Config struct {
	Network string `json:"network"`
	// Socket is the path to listen on, in a folder of mode 0700.
	Socket  string       `json:"socket"`
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway"`
	// Host is the address in the network that maps to the host's loopback, for machines that may use it.
	Host netip.Addr `json:"host"`
	// Subnet6 and Gateway6 are set where the network has IPv6.
	Subnet6  netip.Prefix `json:"subnet6"`
	Gateway6 netip.Addr   `json:"gateway6"`
	MTU      uint32       `json:"mtu"`
	// Internal networks have no outside access: the process cannot create internet sockets at all.
	Internal bool `json:"internal"`
	// Resolvers are queried in order, then Fallback ("ip:port").
	Resolvers []netip.AddrPort `json:"resolvers"`
	Fallback  []netip.AddrPort `json:"fallback"`
	// Names are answered by the gateway itself, on all networks.
	Names map[string][]netip.Addr `json:"names"`
	// Blocked destinations are never dialled, beside those that no gateway dials.
	Blocked []netip.Prefix `json:"blocked"`
	Limits  Limits         `json:"limits"`
	// IdleSeconds ends a gateway that several supervisors share, after nobody was connected for that long; 0: never.
	IdleSeconds int `json:"idleSeconds"`
}

// Limits that are zero have a default.
type Limits struct {
	MachineTCP int `json:"machineTcp"`
	NetworkTCP int `json:"networkTcp"`
	MachineUDP int `json:"machineUdp"`
	NetworkUDP int `json:"networkUdp"`
	// MachineDials is the number of connections of one machine that wait for an answer from outside.
	MachineDials  int   `json:"machineDials"`
	Tunnels       int   `json:"tunnels"`
	DialSeconds   int   `json:"dialSeconds"`
	UDPSeconds    int   `json:"udpSeconds"`
	MemoryMiB     int64 `json:"memoryMib"`
	LogBytes      int   `json:"logBytes"`
	QueueBytes    int   `json:"queueBytes"`
	DNSPerMachine int   `json:"dnsPerMachine"`
}

func (l *Limits) fill() {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&l.MachineTCP, 4096)
	set(&l.NetworkTCP, 12288)
	set(&l.MachineUDP, 4096)
	set(&l.NetworkUDP, 8192)
	set(&l.MachineDials, 256)
	set(&l.Tunnels, 8192)
	set(&l.DialSeconds, 30)
	set(&l.UDPSeconds, 90)
	set(&l.LogBytes, 1<<20)
	set(&l.QueueBytes, 8<<20)
	set(&l.DNSPerMachine, 256)
	if l.MemoryMiB <= 0 {
		l.MemoryMiB = 256
	}
}

// fit lowers the limits if there are fewer descriptors than they need together, so that connections of machines
// leave enough for those of the supervisor.
func (l *Limits) fit(descriptors int) {
	const reserve = 128
	needed := l.NetworkTCP + l.NetworkUDP + l.Tunnels
	if needed <= descriptors-reserve {
		return
	}
	for _, field := range []*int{&l.NetworkTCP, &l.NetworkUDP, &l.Tunnels} {
		*field = max(1, *field*(descriptors-reserve)/needed)
	}
	l.MachineTCP = min(l.MachineTCP, max(1, l.NetworkTCP/2))
	l.MachineUDP = min(l.MachineUDP, max(1, l.NetworkUDP/2))
}

func (l *Limits) dialTimeout() time.Duration { return time.Duration(l.DialSeconds) * time.Second }
func (l *Limits) udpIdle() time.Duration     { return time.Duration(l.UDPSeconds) * time.Second }

const maxConfig = 4 << 20

func readConfig(r io.Reader) (*Config, error) {
	var c Config
	decoder := json.NewDecoder(io.LimitReader(r, maxConfig))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	c.Limits.fill()
	return &c, c.check()
}

func (c *Config) check() error {
	switch {
	case c.Network == "" || c.Socket == "":
		return fmt.Errorf("network and socket are required")
	case !c.Subnet.IsValid() || !c.Subnet.Addr().Is4() || c.Subnet.Bits() > 29:
		return fmt.Errorf("subnet %v is not an IPv4 subnet of /29 or larger", c.Subnet)
	case !c.Subnet.Contains(c.Gateway):
		return fmt.Errorf("gateway %v is not in %v", c.Gateway, c.Subnet)
	case c.Host.IsValid() && (!c.Subnet.Contains(c.Host) || c.Host == c.Gateway):
		return fmt.Errorf("host address %v is not usable in %v", c.Host, c.Subnet)
	case c.Subnet6.IsValid() != c.Gateway6.IsValid():
		return fmt.Errorf("subnet6 and gateway6 belong together")
	case c.Subnet6.IsValid() && (!c.Subnet6.Addr().Is6() || !c.Subnet6.Contains(c.Gateway6)):
		return fmt.Errorf("gateway6 %v is not in %v", c.Gateway6, c.Subnet6)
	case c.MTU < 1280 || c.MTU > 65521:
		return fmt.Errorf("mtu %d is not from 1280 to 65521", c.MTU)
	}
	return nil
}

func (c *Config) inside(a netip.Addr) bool {
	return c.Subnet.Contains(a) || (c.Subnet6.IsValid() && c.Subnet6.Contains(a))
}

// never holds destinations that no machine may reach through its gateway: the host's loopback and addresses that
// are only valid on the host's own links.
var never = func() (list []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
		"::/96", "::ffff:0:0/96", "fe80::/10", "fec0::/10", "ff00::/8",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

func (c *Config) blocked(a netip.Addr) bool {
	for _, list := range [][]netip.Prefix{never, c.Blocked} {
		for _, prefix := range list {
			if prefix.Contains(a) {
				return true
			}
		}
	}
	return false
}
