package main

import (
	"encoding/json"
	"io"
	"net/netip"
	"sync"
	"time"
)

// Event is a line sent to every control connection.
type Event struct {
	Event    string `json:"event"` // refused, limited, attached, detached, memory
	Machine  string `json:"machine,omitempty"`
	MAC      string `json:"mac,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	// To is the destination, Name a name that our DNS resolved to its address.
	To   string `json:"to,omitempty"`
	Name string `json:"name,omitempty"`
	// Why: policy (of egress), peers, internal, host, address, a limit, or what was spoofed.
	Why string `json:"why,omitempty"`
}

const (
	eventEvery = time.Second
	// maxKinds limits the different refusals of one machine that are reported per second; the rest are counted together.
	maxKinds = 32
)

// events collects events for a second and reports each kind in one line, so that a flood of refusals is not a flood of events.
type events struct {
	mu        sync.Mutex
	counts    map[Event]int
	kinds     map[string]int
	listeners map[*queue]struct{}
}

func newEvents() *events {
	return &events{counts: make(map[Event]int), kinds: make(map[string]int), listeners: make(map[*queue]struct{})}
}

func (e *events) refused(p *port, protocol string, to netip.AddrPort, why, name string) {
	event := Event{Event: "refused", Machine: p.spec.Name, MAC: p.spec.MAC, Protocol: protocol, Why: why, Name: name}
	if to.IsValid() {
		event.To = to.String()
	}
	e.tell(event)
}

func (e *events) limited(p *port, what string) {
	e.tell(Event{Event: "limited", Machine: p.spec.Name, MAC: p.spec.MAC, Why: what})
}

func (e *events) tell(event Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts[event] == 0 {
		if e.kinds[event.MAC] >= maxKinds {
			event.To, event.Name, event.Protocol = "", "", ""
		} else {
			e.kinds[event.MAC]++
		}
		if len(e.counts) == 0 {
			time.AfterFunc(eventEvery, e.flush)
		}
	}
	e.counts[event]++
}

func (e *events) flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for event, count := range e.counts {
		line := toLine(struct {
			Event
			Count int `json:"count"`
		}{event, count})
		for q := range e.listeners {
			q.put(line.clone(), false)
		}
		line.put()
	}
	clear(e.counts)
	clear(e.kinds)
}

// all sends a line to every control connection at once.
func (e *events) all(line *frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for q := range e.listeners {
		q.put(&frame{append([]byte(nil), line.buf...)}, false)
	}
}

func toLine(value any) *frame {
	text, err := json.Marshal(value)
	if err != nil {
		text = []byte(`{"error":"the answer could not be encoded"}`)
	}
	return &frame{append(text, '\n')}
}

func (e *events) listen(q *queue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listeners[q] = struct{}{}
}

func (e *events) leave(q *queue) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.listeners, q)
}

// limitedWriter is a log with a size limit, so that no error can fill the disk.
type limitedWriter struct {
	mu   sync.Mutex
	to   io.Writer
	left int
}

func (w *limitedWriter) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left <= 0 {
		return len(text), nil
	}
	w.left -= len(text)
	if w.left <= 0 {
		text = []byte("the log has reached its limit and ends here\n")
	}
	_, err := w.to.Write(text)
	return len(text), err
}
