package main

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

const maxCaptures = 4

// captures copies frames to watchers; a slow watcher loses some.
type captures struct {
	count atomic.Int32
	mu    sync.Mutex
	list  map[*queue]int
}

// pcapHeader begins a file of version 2.4 in microseconds, link type Ethernet.
func pcapHeader(snap uint32) *frame {
	f := getFrame(24)
	clear(f.buf)
	binary.LittleEndian.PutUint32(f.buf, 0xa1b2c3d4)
	binary.LittleEndian.PutUint16(f.buf[4:], 2)
	binary.LittleEndian.PutUint16(f.buf[6:], 4)
	binary.LittleEndian.PutUint32(f.buf[16:], snap)
	binary.LittleEndian.PutUint32(f.buf[20:], 1)
	return f
}

func (c *captures) add(q *queue, snap int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) >= maxCaptures {
		return false
	}
	if c.list == nil {
		c.list = make(map[*queue]int)
	}
	c.list[q] = snap
	q.put(pcapHeader(uint32(snap)), false)
	c.count.Store(int32(len(c.list)))
	return true
}

func (c *captures) remove(q *queue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.list, q)
	c.count.Store(int32(len(c.list)))
}

func (c *captures) see(eth []byte) {
	if c.count.Load() == 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for q, snap := range c.list {
		size := min(len(eth), snap)
		f := getFrame(16 + size)
		binary.LittleEndian.PutUint32(f.buf, uint32(now.Unix()))
		binary.LittleEndian.PutUint32(f.buf[4:], uint32(now.Nanosecond()/1000))
		binary.LittleEndian.PutUint32(f.buf[8:], uint32(size))
		binary.LittleEndian.PutUint32(f.buf[12:], uint32(len(eth)))
		copy(f.buf[16:], eth)
		q.put(f, false)
	}
}
