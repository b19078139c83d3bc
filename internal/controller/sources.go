package controller

import (
	"context"
	"sync"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/follow"
	"github.com/sluice-dev/sluice/internal/status"
)

// sources remembers, per object, its run and when the next is due.
type sources struct {
	registry[*tracked]
	base context.Context // of all runs
}

func (all *sources) of(req reconcile.Request) *tracked {
	return all.registry.of(req, func() *tracked {
		return &tracked{base: all.base, wake: func() { all.call(req, 0) }}
	})
}

func (all *sources) drop(req reconcile.Request) {
	if s, found := all.forget(req); found {
		s.rest()
	}
}

// nudge makes the next pass over an object start a run that takes no answer
// to a question asked before the given moment. Objects that are nudged for one
// reason share the moment, and thereby the answer.
func (all *sources) nudge(req reconcile.Request, at time.Time) {
	s := all.of(req)
	s.mu.Lock()
	s.nudged = at
	s.mu.Unlock()
	all.call(req, 0)
}

// tracked is what is remembered of one object.
type tracked struct {
	base context.Context
	wake func()

	mu        sync.Mutex
	run       *run
	ending    *run      // called off last; it may still be at the disk
	last      input     // of the last run that ended or is going on
	at        time.Time // when the next run is due by the clock; zero is never
	nudged    time.Time // when a hint or a Secret asked for a run; zero is never
	failures  int       // in a row
	mayGoBack bool      // somebody allowed a lower version and no run has succeeded since
	duration  time.Duration

	latest[*sourcev1.OCIRepository]
}

// input is what makes a run necessary when it changes.
type input struct {
	generation int64
	requested  string
	annotation string
}

func inputOf(obj *sourcev1.OCIRepository) input {
	requested, _ := meta.ReconcileAnnotationValue(obj.GetAnnotations())
	return input{generation: obj.Generation, requested: requested, annotation: obj.Annotations[AllowDowngradeAnnotation]}
}

// run is one run that goes on beside the workers.
type run struct {
	cancel  context.CancelFunc
	started time.Time
	ended   chan struct{}

	mu     sync.Mutex
	events []event.Event
	moment follow.Moment
	done   bool
	shown  int // events already folded into the status
}

type runState int

const (
	runNone runState = iota
	runGoing
	runDone
)

// showAfter is how long a run may last before the status says that it goes on.
const showAfter = time.Second

// due tells whether a run has to start now: the object asks for something that
// no run was made for, somebody nudged, or the time has come. A run in progress
// is only called off for a changed object.
func (s *tracked) due(obj *sourcev1.OCIRepository, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != inputOf(obj) {
		return true
	}
	if s.run != nil {
		return false
	}
	return !s.nudged.IsZero() || !s.at.IsZero() && !now.Before(s.at)
}

// begin starts a run, calling off the one before.
func (s *tracked) begin(obj *sourcev1.OCIRepository, do func(context.Context, occasion) follow.Moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callOff()
	before := s.ending
	now := time.Now()
	in := inputOf(obj)
	asked := in.requested != obj.Status.GetLastHandledReconcileRequest() && in.requested != ""
	changed := obj.Generation != obj.Status.ObservedGeneration
	first := s.last != in
	s.mayGoBack = s.mayGoBack || asked || changed && obj.Status.ObservedGeneration > 0
	ask := follow.Ask{Timeout: DefaultTimeout, Now: first && (asked || changed) || !s.nudged.IsZero(), NotBefore: now}
	switch {
	case asked || changed:
	case !s.nudged.IsZero():
		ask.NotBefore = s.nudged
	default:
		// Somebody else's answer will do if it is a small part of the interval old.
		ask.NotBefore = now.Add(-min(obj.Spec.Interval.Duration/20, 30*time.Second))
	}
	if t := obj.Spec.Timeout; t != nil && t.Duration > 0 {
		ask.Timeout = t.Duration
	}
	ctx, cancel := context.WithCancel(s.base)
	r := &run{cancel: cancel, started: now, ended: make(chan struct{})}
	s.run, s.last, s.nudged, s.at = r, in, time.Time{}, time.Time{}
	mayGoBack := s.mayGoBack
	r.events = append(r.events, event.Event{At: now, Asking: &event.Asking{Repository: obj.Spec.URL}})
	slow := time.AfterFunc(showAfter, s.wake)
	go func() {
		defer close(r.ended)
		defer cancel()
		if before != nil {
			<-before.ended // two runs never write the same files
		}
		moment := do(ctx, occasion{ask: ask, first: first, mayGoBack: mayGoBack, sink: func(e event.Event) {
			r.add(e)
			if e.Found != nil {
				slow.Reset(showAfter) // a long download is worth a word of its own
			}
		}})
		slow.Stop()
		if ctx.Err() != nil {
			return // called off: whoever did it has taken over, or the process ends
		}
		r.mu.Lock()
		r.moment, r.done = moment, true
		r.mu.Unlock()
		s.wake()
	}()
}

// occasion is why and how a run is made.
type occasion struct {
	ask       follow.Ask
	first     bool // the first run for this spec and request
	mayGoBack bool
	sink      func(event.Event)
}

// callOff ends the run early; it may take a moment to leave the disk.
func (s *tracked) callOff() {
	if s.run != nil {
		s.run.cancel()
		s.ending, s.run = s.run, nil
	}
}

// quiet tells whether no run can write any more.
func (s *tracked) quiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == nil {
		return s.run == nil
	}
	select {
	case <-s.ending.ended:
		return s.run == nil
	default:
		return false
	}
}

func (r *run) add(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = time.Now()
	r.events = append(r.events, e)
}

// progress gives the events of the run to report: all of them when it is done,
// those so far when it has lasted long enough to be shown and has news.
func (s *tracked) progress(obj *sourcev1.OCIRepository) ([]event.Event, runState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil || s.last != inputOf(obj) {
		return nil, runNone
	}
	r := s.run
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.done:
		// A run that learned nothing new shows nothing of its beginning.
		return r.events[1:], runDone
	case time.Since(r.started) < showAfter || r.shown == len(r.events):
		return nil, runGoing
	default:
		r.shown = len(r.events)
		return append([]event.Event(nil), r.events...), runGoing
	}
}

// finish ends a run that was reported and says when the next is due.
func (s *tracked) finish(outcome event.Event, interval time.Duration, timing Timing) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.run
	s.run, s.ending = nil, r
	if outcome.Failed == nil {
		s.failures, s.mayGoBack = 0, false
	} else {
		s.failures++
	}
	s.duration = time.Since(r.started)
	at, again := status.Next(outcome, status.Schedule{
		Interval: interval, Asked: r.moment.At, Jitter: r.moment.Jitter, Spread: timing.Spread,
		Backoff: timing.Retry.After(s.failures),
	})
	if !s.nudged.IsZero() {
		at, again = time.Now(), true // what the run learned may be older than the hint
	}
	s.at = at
	return at, again
}

func (s *tracked) took() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.duration
}

// untilDue is how a pass ends that had nothing to do.
func (s *tracked) untilDue(now time.Time) reconcile.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() {
		return reconcile.Result{}
	}
	return reconcile.Result{RequeueAfter: max(s.at.Sub(now), time.Millisecond)}
}

// rest calls the run off and forgets what was known: the object is suspended
// or goes away.
func (s *tracked) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callOff()
	s.last, s.at, s.nudged = input{}, time.Time{}, time.Time{}
}

func equalStatus(a, b sourcev1.OCIRepositoryStatus) bool { return equality.Semantic.DeepEqual(a, b) }
