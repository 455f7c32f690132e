package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"testing"
)

// The same verdicts as those of the supervisor's proxy (net/outbound/match-rule.ts).
func TestPolicyCases(t *testing.T) {
	text, err := os.ReadFile("../../test/net/support/policy-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases struct {
		Policies    map[string]*PolicySpec
		Connections [][5]any
		Names       [][3]any
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	compiled := make(map[string]*policy)
	for name, spec := range cases.Policies {
		if compiled[name], err = compilePolicy(spec); err != nil {
			t.Fatal(name, err)
		}
	}
	for _, c := range cases.Connections {
		var names []string
		if c[3] != nil {
			names = []string{c[3].(string)}
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(c[1].(string)), uint16(c[2].(float64)))
		if got := compiled[c[0].(string)].allows("tcp", to, names); got != c[4].(bool) {
			t.Errorf("%v: %v", c, got)
		}
	}
	for _, c := range cases.Names {
		if got := compiled[c[0].(string)].resolves(c[1].(string)); got != c[2].(bool) {
			t.Errorf("%v: %v", c, got)
		}
	}
}

// A machine that may not be connected to may connect itself: what answers it opens nothing.
func TestOnlySynOpens(t *testing.T) {
	eth := make([]byte, ethernetSize+40)
	eth[12], eth[13] = 8, 0
	ip := eth[ethernetSize:]
	ip[0], ip[9] = 0x45, 6
	copy(ip[12:16], []byte{10, 0, 0, 2})
	copy(ip[16:20], []byte{10, 0, 0, 3})
	for flags, opens := range map[byte]bool{0x02: true, 0x12: false, 0x10: false, 0x18: false, 0x04: false, 0x14: false, 0x00: true, 0x01: true} {
		ip[20+13] = flags
		if protocol, _, _, got := describe(eth); protocol != "tcp" || got != opens {
			t.Errorf("flags %#x: %s %v", flags, protocol, got)
		}
	}
}
