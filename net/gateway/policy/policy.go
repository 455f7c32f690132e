// Package policy decides what a machine may connect to, and remembers the names that lead to an address.
package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Spec lists the destinations that a machine may connect to; the first rule that matches decides.
type Spec struct {
	Default string     `json:"default"`
	Rules   []RuleSpec `json:"rules"`
}

// RuleSpec matches if all its fields match; an empty list matches everything.
type RuleSpec struct {
	Action string `json:"action"`
	// To holds CIDRs, addresses, names and names with a *. prefix.
	To       []string `json:"to"`
	Protocol string   `json:"protocol"`
	Ports    []string `json:"ports"`
}

type rule struct {
	allow    bool
	any      bool
	prefixes []netip.Prefix
	names    []string
	protocol string
	ports    [][2]uint16
}

// Policy is a Spec, ready to decide.
type Policy struct {
	Spec  *Spec
	allow bool
	rules []rule
}

// Compile returns nil for no policy, which allows everything.
func Compile(spec *Spec) (*Policy, error) {
	if spec == nil {
		return nil, nil
	}
	if spec.Default != "allow" && spec.Default != "deny" {
		return nil, fmt.Errorf("default %q is neither allow nor deny", spec.Default)
	}
	p := &Policy{Spec: spec, allow: spec.Default == "allow"}
	for _, given := range spec.Rules {
		made, err := compileRule(given)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, made)
	}
	return p, nil
}

func compileRule(given RuleSpec) (rule, error) {
	made := rule{allow: given.Action == "allow", any: len(given.To) == 0, protocol: given.Protocol}
	if given.Action != "allow" && given.Action != "deny" {
		return made, fmt.Errorf("action %q is neither allow nor deny", given.Action)
	}
	switch given.Protocol {
	case "", "tcp", "udp", "icmp":
	default:
		return made, fmt.Errorf("protocol %q is not tcp, udp or icmp", given.Protocol)
	}
	for _, to := range given.To {
		if prefix, err := netip.ParsePrefix(to); err == nil {
			made.prefixes = append(made.prefixes, prefix.Masked())
		} else if addr, err := netip.ParseAddr(to); err == nil {
			made.prefixes = append(made.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		} else if name := NormalizeName(to); name != "" && !strings.ContainsAny(strings.TrimPrefix(name, "*."), "*/: ") {
			made.names = append(made.names, name)
		} else {
			return made, fmt.Errorf("%q is not an address, CIDR or name", to)
		}
	}
	for _, text := range given.Ports {
		first, last, found := strings.Cut(text, "-")
		if !found {
			last = first
		}
		low, err1 := strconv.ParseUint(first, 10, 16)
		high, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || low > high {
			return made, fmt.Errorf("%q is not a port or a port range", text)
		}
		made.ports = append(made.ports, [2]uint16{uint16(low), uint16(high)})
	}
	return made, nil
}

// Allows decides about a destination, whose names are those that our DNS resolved to its address.
func (p *Policy) Allows(protocol string, to netip.AddrPort, names []string) bool {
	if p == nil {
		return true
	}
	for i := range p.rules {
		if p.rules[i].matches(protocol, to, names) {
			return p.rules[i].allow
		}
	}
	return p.allow
}

func (r *rule) matches(protocol string, to netip.AddrPort, names []string) bool {
	if r.protocol != "" && r.protocol != protocol {
		return false
	}
	if len(r.ports) > 0 && !portIn(r.ports, to.Port()) {
		return false
	}
	if r.any {
		return true
	}
	for _, prefix := range r.prefixes {
		if prefix.Contains(to.Addr()) {
			return true
		}
	}
	for _, name := range names {
		if r.matchesName(name) {
			return true
		}
	}
	return false
}

func portIn(ranges [][2]uint16, port uint16) bool {
	for _, each := range ranges {
		if port >= each[0] && port <= each[1] {
			return true
		}
	}
	return false
}

func (r *rule) matchesName(name string) bool {
	for _, pattern := range r.names {
		if pattern == name || (strings.HasPrefix(pattern, "*.") && strings.HasSuffix(name, pattern[1:])) {
			return true
		}
	}
	return false
}

// Resolves reports whether a name may be resolved: if everything but a list is denied, names outside the list are not
// resolved, because a DNS query can also carry data out.
func (p *Policy) Resolves(name string) bool {
	if p == nil {
		return true
	}
	for i := range p.rules {
		r := &p.rules[i]
		if partly := len(r.ports) > 0 || r.protocol != ""; partly && !r.allow {
			continue // something else of that name may be reached
		}
		if r.any || r.matchesName(name) {
			return r.allow
		}
	}
	return p.allow
}

// Learned maps addresses to the names that our DNS resolved to them, until the answer expires.
type Learned struct {
	mu    sync.Mutex
	names map[netip.Addr]map[string]time.Time
}

const (
	maxLearned   = 4096
	maxNames     = 16
	shortestTied = 5 * time.Minute
	longestTied  = time.Hour
)

// Add notes that a name leads to an address.
func (l *Learned) Add(addr netip.Addr, name string, ttl time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names == nil {
		l.names = make(map[netip.Addr]map[string]time.Time)
	}
	known := l.names[addr]
	if known == nil {
		MakeRoom(l.names, maxLearned)
		known = make(map[string]time.Time, 1)
		l.names[addr] = known
	}
	if _, is := known[name]; !is {
		MakeRoom(known, maxNames)
	}
	known[name] = time.Now().Add(min(max(ttl, shortestTied), longestTied))
}

// MakeRoom drops an arbitrary entry of a full map; if it is needed again, it is resolved again.
func MakeRoom[K comparable, V any](from map[K]V, most int) {
	for key := range from {
		if len(from) < most {
			return
		}
		delete(from, key)
	}
}

// Of gives the names of an address.
func (l *Learned) Of(addr netip.Addr) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for name, until := range l.names[addr] {
		if until.After(now) {
			list = append(list, name)
		}
	}
	return list
}

// NormalizeName returns a name in lower case without the final dot.
func NormalizeName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
