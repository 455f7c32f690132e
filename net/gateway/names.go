package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"sync"
)

const maxOwners = 512

// names holds the tables of all supervisors on this network, one for each owner, and keeps the resolver and the
// supervisors informed of all of them together.
type names struct {
	g      *gateway
	mu     sync.Mutex
	owners map[string]*ownTable
	told   []byte
}

// ownTable is one supervisor's names. When that has gone without an heir (by is nil), a name lasts as long as a machine has its address.
type ownTable struct {
	names nameTable
	by    *queue
}

type nameTable = map[string][]netip.Addr

// NamesEvent tells every supervisor of the names of all.
type NamesEvent struct {
	Event  string               `json:"event"`
	Owners map[string]nameTable `json:"owners"`
	Count  int                  `json:"count"`
}

// newNames starts with those of the configuration, whose owner has no name and never leaves.
func newNames(g *gateway) *names {
	n := &names{g: g, owners: make(map[string]*ownTable)}
	n.owners[""] = &ownTable{names: g.config.Names, by: newQueue(0)}
	n.publish()
	return n
}

// set replaces the table of an owner, whoever set it before, and tells the client what the others have.
func (n *names) set(owner string, table nameTable, by *queue) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.owners[owner] == nil && len(n.owners) >= maxOwners {
		return fmt.Errorf("%d owners have names on this network already", maxOwners)
	}
	if owner == "" {
		by = n.owners[""].by
	}
	n.owners[owner] = &ownTable{table, by}
	if !n.publish() && owner != "" {
		by.put(&frame{bytes.Clone(n.told)}, true)
	}
	return nil
}

// leave is called when a control connection has ended.
func (n *names) leave(q *queue) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, own := range n.owners {
		if own.by == q {
			own.by = nil
		}
	}
	n.publish()
}

// detached is called when a machine has gone.
func (n *names) detached() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, own := range n.owners {
		if own.by == nil {
			n.publish()
			return
		}
	}
}

// publish gives the resolver and all supervisors the tables, unless they have them.
func (n *names) publish() bool {
	merged := maps.Clone(n.owners[""].names)
	if merged == nil {
		merged = make(nameTable)
	}
	event := NamesEvent{Event: "names", Owners: make(map[string]nameTable), Count: 1}
	for owner, own := range n.owners {
		if owner == "" {
			continue
		}
		if own.by == nil {
			if own.names = n.attached(own.names); len(own.names) == 0 {
				delete(n.owners, owner)
				continue
			}
		}
		event.Owners[owner] = own.names
		for name, addresses := range own.names {
			merged[name] = append(merged[name][:len(merged[name]):len(merged[name])], addresses...)
		}
	}
	line := toLine(event)
	if bytes.Equal(line.buf, n.told) && len(n.told) > 0 {
		return false
	}
	n.told = bytes.Clone(line.buf)
	n.g.dns.setNames(merged)
	n.g.events.all(line)
	return true
}

// attached keeps the addresses that a machine has.
func (n *names) attached(table nameTable) nameTable {
	kept := make(nameTable)
	byIP := n.g.sw.table.Load().byIP
	for name, addresses := range table {
		for _, addr := range addresses {
			if byIP[addr] != nil {
				kept[name] = append(kept[name], addr)
			}
		}
	}
	return kept
}
