package notify

import (
	"context"
	"sync"

	"github.com/sluice-dev/sluice/internal/event"
)

// Sink delivers one notice; it may take its time and may fail.
type Sink func(ctx context.Context, n event.Notice) error

// Queue decouples who tells from a Sink. It is bounded by what there is to
// tell: a notice that still waits is replaced by a newer one of the same
// object, reason and severity, which is a repeat. New revisions and failures
// are thus never lost, whatever the sink does.
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
}

// NewQueue makes a queue in front of a sink; failed is told what could not be
// delivered.
func NewQueue(sink Sink, failed func(event.Notice, error)) *Queue {
	return &Queue{sink: sink, failed: failed, newest: map[key]event.Notice{}, signal: make(chan struct{}, 1)}
}

// Tell puts a notice into the queue. It never blocks.
func (q *Queue) Tell(n event.Notice) {
	k := key{n.Object, n.Reason, n.Severity}
	q.mu.Lock()
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
			if err := q.sink(deliver, n); err != nil {
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
