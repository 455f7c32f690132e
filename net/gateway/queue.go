package main

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// frame is one message with its length prefix on the stream.
type frame struct{ buf []byte }

const (
	smallFrame = 2048
	largeFrame = 68 << 10
	// stallWait is how long a sender waits for a slow receiver before the receiver counts as stuck.
	stallWait   = 50 * time.Millisecond
	maxPerWrite = 64
)

var (
	smallFrames = sync.Pool{New: func() any { return &frame{make([]byte, smallFrame)} }}
	largeFrames = sync.Pool{New: func() any { return &frame{make([]byte, largeFrame)} }}
)

func getFrame(size int) *frame {
	pool := &largeFrames
	if size <= smallFrame {
		pool = &smallFrames
	}
	f := pool.Get().(*frame)
	f.buf = f.buf[:size]
	return f
}

func (f *frame) put() {
	switch cap(f.buf) {
	case smallFrame:
		smallFrames.Put(f)
	case largeFrame:
		largeFrames.Put(f)
	}
}

func (f *frame) clone() *frame {
	g := getFrame(len(f.buf))
	copy(g.buf, f.buf)
	return g
}

// queue sends frames to one stream. It has a limit in bytes, and frames that do not fit are dropped, so that a receiver
// that does not read costs the others nothing.
type queue struct {
	mu     sync.Mutex
	more   sync.Cond
	room   chan struct{}
	frames []*frame
	// offset is the number of bytes of the first frame that are written already.
	offset int
	bytes  int
	limit  int
	stuck  bool
	closed bool
	// raw is the stream if frames may be written directly; writing is set while drain writes.
	raw     syscall.RawConn
	writing bool
	dropped uint64
	sent    uint64
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit, room: make(chan struct{}, 1)}
	q.more.L = &q.mu
	return q
}

// put takes ownership of the frame. With wait, the sender is delayed briefly if the receiver is slow.
func (q *queue) put(f *frame, wait bool) bool {
	q.mu.Lock()
	if wait && q.bytes+len(f.buf) > q.limit && !q.stuck && !q.closed {
		q.waitForRoom(len(f.buf))
	}
	if q.closed || q.bytes+len(f.buf) > q.limit {
		q.dropped++
		q.mu.Unlock()
		f.put()
		return false
	}
	size := len(f.buf)
	if len(q.frames) == 0 && !q.writing && q.raw != nil {
		if q.offset = q.writeNow(f.buf); q.offset == size {
			q.offset = 0
			q.mu.Unlock()
			f.put()
			return true
		}
	}
	q.frames = append(q.frames, f)
	q.bytes += size - q.offsetOfOnly()
	if len(q.frames) == 1 {
		q.more.Signal()
	}
	q.mu.Unlock()
	return true
}

func (q *queue) offsetOfOnly() int {
	if len(q.frames) == 1 {
		return q.offset
	}
	return 0
}

// writeNow avoids the switch to drain's goroutine, which is most of a round trip. It never blocks.
func (q *queue) writeNow(buf []byte) (written int) {
	_ = q.raw.Write(func(fd uintptr) bool {
		written, _ = syscall.Write(int(fd), buf)
		return true
	})
	written = max(written, 0)
	q.sent += uint64(written)
	return written
}

func (q *queue) waitForRoom(size int) {
	timer := time.NewTimer(stallWait)
	defer timer.Stop()
	for q.bytes+size > q.limit && !q.closed {
		q.mu.Unlock()
		select {
		case <-q.room:
			q.mu.Lock()
		case <-timer.C:
			q.mu.Lock()
			q.stuck = true
			return
		}
	}
}

// drain writes frames until the queue is closed or the stream fails.
func (q *queue) drain(conn net.Conn) {
	if stream, ok := conn.(syscall.Conn); ok {
		if raw, err := stream.SyscallConn(); err == nil {
			q.mu.Lock()
			q.raw = raw
			q.mu.Unlock()
		}
	}
	batch := make([]*frame, 0, maxPerWrite)
	buffers := make(net.Buffers, 0, maxPerWrite)
	for {
		q.mu.Lock()
		for len(q.frames) == 0 && !q.closed {
			q.more.Wait()
		}
		if q.closed {
			q.mu.Unlock()
			return
		}
		q.writing = true
		offset := q.offset
		q.offset = 0
		count := min(len(q.frames), maxPerWrite)
		batch = append(batch[:0], q.frames[:count]...)
		q.frames = q.frames[:copy(q.frames, q.frames[count:])]
		q.mu.Unlock()

		size := 0
		buffers = buffers[:0]
		for i, f := range batch {
			part := f.buf
			if i == 0 {
				part = part[offset:]
			}
			size += len(part)
			buffers = append(buffers, part)
		}
		writing := buffers
		_, err := writing.WriteTo(conn)
		for _, f := range batch {
			f.put()
		}
		q.mu.Lock()
		q.bytes -= size
		q.sent += uint64(size)
		q.stuck = false
		q.writing = false
		q.mu.Unlock()
		select {
		case q.room <- struct{}{}:
		default:
		}
		if err != nil {
			q.close()
			return
		}
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.frames = nil
	q.more.Broadcast()
	select {
	case q.room <- struct{}{}:
	default:
	}
}

func (q *queue) counters() (sent, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sent, q.dropped
}
