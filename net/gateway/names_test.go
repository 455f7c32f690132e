package main

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
)

// lastNames reads what a supervisor was told last.
func lastNames(t *testing.T, q *queue) map[string]nameTable {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) == 0 {
		return nil
	}
	var event NamesEvent
	if err := json.Unmarshal(q.frames[len(q.frames)-1].buf, &event); err != nil || event.Event != "names" {
		t.Fatalf("%s is not the names", q.frames[len(q.frames)-1].buf)
	}
	return event.Owners
}

func TestNamesOfAllSupervisorsAreOneTable(t *testing.T) {
	g := testGateway(t)
	shop, blog := newQueue(1<<20), newQueue(1<<20)
	g.events.listen(shop)
	g.events.listen(blog)
	answered := func(name string) []netip.Addr { return (*g.dns.names.Load())[name] }
	set := func(owner string, table nameTable, q *queue) {
		if err := g.names.set(owner, table, q); err != nil {
			t.Fatal(err)
		}
	}
	set("shop", nameTable{"web": {addr("10.0.0.3")}, "db": {addr("10.0.0.4")}}, shop)
	set("blog", nameTable{"web": {addr("10.0.0.5")}}, blog)
	if got := answered("web"); len(got) != 2 {
		t.Fatalf("web of both has %v", got)
	}
	if got := lastNames(t, shop); len(got["shop"]) != 2 || len(got["blog"]) != 1 {
		t.Fatalf("the first was told %v", got)
	}

	// A supervisor was killed: its names last as long as its machines.
	port, _ := testPort(t, g, macA, NicSpec{Name: "shop-web-1", Addresses: []netip.Addr{addr("10.0.0.3")}})
	g.events.leave(shop)
	g.names.leave(shop)
	if got := lastNames(t, blog)["shop"]; !reflect.DeepEqual(got, nameTable{"web": {addr("10.0.0.3")}}) {
		t.Fatalf("of a killed one there is left %v", got)
	}
	// The next one takes over with the same table, and learns what the others have.
	heir := newQueue(1 << 20)
	set("shop", nameTable{"web": {addr("10.0.0.3")}}, heir)
	if got := lastNames(t, heir); len(got["blog"]) != 1 {
		t.Fatalf("the heir was told %v", got)
	}
	g.names.leave(heir)
	g.sw.remove(port)
	g.names.detached()
	if got := answered("web"); !reflect.DeepEqual(got, []netip.Addr{addr("10.0.0.5")}) {
		t.Fatalf("web of the one that is left has %v", got)
	}
	if got := lastNames(t, blog); len(got) != 1 {
		t.Fatalf("an owner without machines is left: %v", got)
	}
}
