package policy

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

func TestAPolicyTakesTheFirstRuleThatMatches(t *testing.T) {
	p, err := Compile(&Spec{Default: "deny", Rules: []RuleSpec{
		{Action: "deny", To: []string{"10.1.0.0/16"}},
		{Action: "allow", To: []string{"10.0.0.0/8", "192.0.2.1"}, Protocol: "tcp", Ports: []string{"80", "8000-8010"}},
		{Action: "allow", To: []string{"*.example.com", "Example.org."}},
		{Action: "allow", Protocol: "udp", Ports: []string{"123"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		protocol, to string
		names        []string
		want         bool
	}{
		{"tcp", "10.1.2.3:80", nil, false},
		{"tcp", "10.2.2.3:80", nil, true},
		{"tcp", "10.2.2.3:8010", nil, true},
		{"tcp", "10.2.2.3:8011", nil, false},
		{"udp", "10.2.2.3:80", nil, false},
		{"tcp", "192.0.2.1:80", nil, true},
		{"tcp", "192.0.2.2:80", nil, false},
		{"tcp", "1.2.3.4:9", []string{"a.example.com"}, true},
		{"tcp", "1.2.3.4:9", []string{"example.com"}, false},
		{"tcp", "1.2.3.4:9", []string{"notexample.com"}, false},
		{"tcp", "1.2.3.4:9", []string{"x.org", "example.org"}, true},
		{"udp", "1.2.3.4:123", nil, true},
	} {
		if got := p.Allows(c.protocol, netip.MustParseAddrPort(c.to), c.names); got != c.want {
			t.Errorf("%s %s %v: %v", c.protocol, c.to, c.names, got)
		}
	}
	if !p.Resolves("a.example.com") || !p.Resolves("example.org") {
		t.Error("an allowed name is not resolved")
	}
	if (*Policy)(nil).Allows("tcp", netip.MustParseAddrPort("1.2.3.4:9"), nil) != true {
		t.Error("no policy refuses")
	}
}

func TestARuleWithoutNamesSaysNothingAboutNames(t *testing.T) {
	only, _ := Compile(&Spec{Default: "deny", Rules: []RuleSpec{{Action: "allow", Ports: []string{"443"}}}})
	if !only.Resolves("any.example") {
		t.Error("what may be connected to anywhere may be resolved")
	}
	listed, _ := Compile(&Spec{Default: "deny", Rules: []RuleSpec{{Action: "allow", To: []string{"1.2.3.0/24"}}}})
	if listed.Resolves("any.example") {
		t.Error("a list of addresses opens the way through name servers")
	}
}

func TestPoliciesThatMeanNothingAreRefused(t *testing.T) {
	for _, bad := range []Spec{
		{Default: "maybe"},
		{Default: "deny", Rules: []RuleSpec{{Action: "permit"}}},
		{Default: "deny", Rules: []RuleSpec{{Action: "allow", Protocol: "sctp"}}},
		{Default: "deny", Rules: []RuleSpec{{Action: "allow", Ports: []string{"80-"}}}},
		{Default: "deny", Rules: []RuleSpec{{Action: "allow", Ports: []string{"90-80"}}}},
		{Default: "deny", Rules: []RuleSpec{{Action: "allow", Ports: []string{"65536"}}}},
		{Default: "deny", Rules: []RuleSpec{{Action: "allow", To: []string{"1.2.3.4/33"}}}},
		{Default: "deny", Rules: []RuleSpec{{Action: "allow", To: []string{"*"}}}},
		{Default: "deny", Rules: []RuleSpec{{Action: "allow", To: []string{"a*.example.com"}}}},
		{Default: "deny", Rules: []RuleSpec{{Action: "allow", To: []string{""}}}},
	} {
		if _, err := Compile(&bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestWhatIsLearnedFromNamesIsBounded(t *testing.T) {
	var l Learned
	for i := range 3 * maxLearned {
		l.Add(netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}), "x.example", time.Second)
	}
	if len(l.names) > maxLearned {
		t.Errorf("%d addresses are remembered", len(l.names))
	}
	for i := range 100 {
		l.Add(netip.MustParseAddr("1.0.0.1"), strings.Repeat("x", i+1), time.Second)
	}
	if names := l.Of(netip.MustParseAddr("1.0.0.1")); len(names) > maxNames || len(names) < 2 {
		t.Errorf("%d names of one address", len(names))
	}
}

// The same verdicts as those of the supervisor's proxy (net/outbound/match-rule.ts).
func TestPolicyCases(t *testing.T) {
	text, err := os.ReadFile("../../../test/net/support/policy-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases struct {
		Policies    map[string]*Spec
		Connections [][5]any
		Names       [][3]any
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	compiled := make(map[string]*Policy)
	for name, spec := range cases.Policies {
		if compiled[name], err = Compile(spec); err != nil {
			t.Fatal(name, err)
		}
	}
	for _, c := range cases.Connections {
		var names []string
		if c[3] != nil {
			names = []string{c[3].(string)}
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(c[1].(string)), uint16(c[2].(float64)))
		if got := compiled[c[0].(string)].Allows("tcp", to, names); got != c[4].(bool) {
			t.Errorf("%v: %v", c, got)
		}
	}
	for _, c := range cases.Names {
		if got := compiled[c[0].(string)].Resolves(c[1].(string)); got != c[2].(bool) {
			t.Errorf("%v: %v", c, got)
		}
	}
}
