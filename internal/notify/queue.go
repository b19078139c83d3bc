package notify

import (
	"context"
	"sync"

	"github.com/sluice-dev/sluice/internal/event"
)

// Sink delivers one notice; it may take its time and may fail.
type Sink func(ctx context.Context, n event.Notice) error

// Queue decouples who tells from a Sink. A notice that is told again while it
// waits is one notice. Beyond maxWaiting, where a sink has been stuck for long,
// only the newest of an object and a reason is kept, so that no object's last
// new revision or failure is ever lost.
type Queue struct {
	sink   Sink
	failed func(n event.Notice, err error)

	mu      sync.Mutex
	waiting []key // in order of first arrival
	newest  map[key]event.Notice
	repeats int
	signal  chan struct{}
}

type key struct {
	object   event.Object
	reason   string
	severity event.Severity
	message  string
}

// maxWaiting is how many notices wait one by one.
const maxWaiting = 10_000

// NewQueue makes a queue in front of a sink; failed is told what could not be
// delivered.
func NewQueue(sink Sink, failed func(event.Notice, error)) *Queue {
	return &Queue{sink: sink, failed: failed, newest: map[key]event.Notice{}, signal: make(chan struct{}, 1)}
}

// Tell puts a notice into the queue. It never blocks.
func (q *Queue) Tell(n event.Notice) {
	k := key{n.Object, n.Reason, n.Severity, n.Message}
	q.mu.Lock()
	if len(q.waiting) >= maxWaiting {
		k.message = ""
	}
	if _, found := q.newest[k]; found {
		q.repeats++
	} else {
		q.waiting = append(q.waiting, k)
	}
	q.newest[k] = n
	q.mu.Unlock()
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// Repeats counts the notices that a newer one replaced.
func (q *Queue) Repeats() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.repeats
}

// Run delivers until the context ends; then it delivers what still waits, for
// as long as flush lasts.
func (q *Queue) Run(ctx, flush context.Context) {
	for {
		for {
			n, found := q.next()
			if !found {
				break
			}
			deliver := ctx
			if ctx.Err() != nil {
				deliver = flush
			}
			if deliver.Err() != nil {
				return
			}
			err := q.sink(deliver, n)
			if err != nil && deliver != flush && ctx.Err() != nil {
				err = q.sink(flush, n) // cut off by the end, which leaves time for this
			}
			if err != nil {
				q.failed(n, err)
			}
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case <-q.signal:
		case <-ctx.Done():
		}
	}
}

func (q *Queue) next() (event.Notice, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return event.Notice{}, false
	}
	k := q.waiting[0]
	q.waiting = q.waiting[1:]
	n := q.newest[k]
	delete(q.newest, k)
	return n, true
}
