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
