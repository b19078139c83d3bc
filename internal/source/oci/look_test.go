package oci

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/follow"
)

// counted is a question whose answer is how often it was asked.
type counted struct {
	asked int
	takes time.Duration
	err   error
}

func (c *counted) do(ctx context.Context) (int, error) {
	c.asked++
	n, err := c.asked, c.err
	select {
	case <-time.After(c.takes):
		return n, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

var testBackoff = follow.Backoff{Min: time.Second, Max: time.Minute}

func TestLookSharesWhatIsFreshEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		c := &counted{takes: time.Second}
		get := func(notBefore time.Time) int {
			seen, err := l.get(t.Context(), follow.Ask{NotBefore: notBefore, Timeout: time.Minute}, testBackoff, c.do)
			if err != nil {
				t.Error(err)
			}
			return seen.Value
		}
		began := time.Now()
		if n := get(began); n != 1 {
			t.Errorf("first: %d", n)
		}
		if n := get(began); n != 1 {
			t.Errorf("an answer to a question asked then is enough, got %d", n)
		}
		time.Sleep(time.Minute)
		if n := get(time.Now()); n != 2 {
			t.Errorf("an old answer is not enough, got %d", n)
		}
		l.hint(time.Now())
		time.Sleep(time.Second)
		if n := get(began); n != 3 {
			t.Errorf("after a hint every answer from before is too old, got %d", n)
		}
	})
}

// A question that was asked before the moment that matters answers an older
// question; whoever needs a newer answer waits for one of their own.
func TestLookDoesNotTakeAnAnswerInFlightForANewerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		c := &counted{takes: 10 * time.Second}
		var wg sync.WaitGroup
		results := make([]int, 3)
		for i := range results {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				seen, err := l.get(t.Context(), follow.Ask{NotBefore: time.Now(), Timeout: time.Minute}, testBackoff, c.do)
				if err != nil {
					t.Error(err)
				}
				results[i] = seen.Value
			})
		}
		wg.Wait()
		if results[0] != 1 || results[1] != 2 || results[2] != 2 || c.asked != 2 {
			t.Errorf("answers %v after %d questions; want the later two to share the second", results, c.asked)
		}
	})
}

func TestLookBacksOffForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		c := &counted{err: &Failure{Kind: Broken, Repository: artifact.Repository{Host: "h", Path: "p"}, cause: errors.New("no")}}
		began := time.Now()
		for time.Since(began) < 30*time.Second {
			_, err := l.get(t.Context(), follow.Ask{NotBefore: time.Now(), Timeout: time.Minute}, testBackoff, c.do)
			var f *Failure
			if !errors.As(err, &f) || !f.RetryAt.After(time.Now().Add(-time.Millisecond)) {
				t.Fatalf("%v does not say when to try again", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if c.asked != 5 { // at 0, 1, 3, 7 and 15 seconds
			t.Errorf("asked %d times in 30 seconds of failure, want 5", c.asked)
		}
		if _, err := l.get(t.Context(), follow.Ask{NotBefore: time.Now(), Timeout: time.Minute, Now: true}, testBackoff, c.do); err == nil || c.asked != 6 {
			t.Errorf("a person who asks is not put off by the back-off: %d questions", c.asked)
		}
		c.err = nil
		time.Sleep(time.Millisecond)
		l.hint(time.Now())
		if seen, err := l.get(t.Context(), follow.Ask{NotBefore: time.Now(), Timeout: time.Minute}, testBackoff, c.do); err != nil || seen.Value != 7 {
			t.Errorf("a hint ends the back-off: %v, %v", seen, err)
		}
	})
}

func TestLookObeysALongerWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		wish := time.Now().Add(time.Hour)
		c := &counted{err: &Failure{Kind: RateLimited, RetryAt: wish, cause: errors.New("429")}}
		for range 10 {
			_, err := l.get(t.Context(), follow.Ask{NotBefore: time.Now(), Timeout: time.Minute}, testBackoff, c.do)
			var f *Failure
			if !errors.As(err, &f) || !f.RetryAt.Equal(wish) {
				t.Fatalf("retry at %v, want %v", f, wish)
			}
			time.Sleep(time.Minute)
		}
		if c.asked != 1 {
			t.Errorf("asked %d times during an hour's pause", c.asked)
		}
	})
}

func TestLookEndsWhenTheLastHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		c := &counted{takes: time.Hour}
		first, leaveFirst := context.WithCancel(t.Context())
		second, leaveSecond := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, ctx := range []context.Context{first, second} {
			wg.Go(func() {
				if _, err := l.get(ctx, follow.Ask{Timeout: 2 * time.Hour}, testBackoff, c.do); !errors.Is(err, context.Canceled) {
					t.Errorf("left with %v", err)
				}
			})
		}
		synctest.Wait()
		leaveFirst()
		synctest.Wait()
		l.mu.Lock()
		going := l.running != nil
		l.mu.Unlock()
		if !going {
			t.Error("the request ended although one still waits for it")
		}
		leaveSecond()
		wg.Wait()
		synctest.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.running != nil || l.last != nil {
			t.Error("a request that nobody waits for goes on, or counts as an answer")
		}
	})
}

func TestLookIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		c := &counted{takes: time.Hour}
		began := time.Now()
		_, err := l.get(t.Context(), follow.Ask{Timeout: time.Minute}, testBackoff, c.do)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v; want the deadline after a minute", err, time.Since(began))
		}
	})
}

// Tries of impatient people during a back-off do not prolong it for all.
func TestLookImpatienceProlongsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		c := &counted{err: &Failure{Kind: Broken, cause: errors.New("no")}}
		for range 50 {
			_, _ = l.get(t.Context(), follow.Ask{NotBefore: time.Now(), Timeout: time.Minute, Now: true}, testBackoff, c.do)
			time.Sleep(time.Millisecond)
		}
		if wait := time.Until(l.last.retryAt); c.asked != 50 || wait > testBackoff.Min {
			t.Errorf("after %d impatient tries others wait %v, want at most %v", c.asked, wait, testBackoff.Min)
		}
	})
}

// A source with a short time-out leaves early; it neither ends the request for
// the others nor leaves a failure behind.
func TestLookShortTimeoutsAreOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		c := &counted{takes: 10 * time.Second}
		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() {
			_, err := l.get(t.Context(), follow.Ask{NotBefore: began, Timeout: time.Second}, testBackoff, c.do)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("the hasty one got %v after %v", err, time.Since(began))
			}
		})
		synctest.Wait()
		wg.Go(func() {
			seen, err := l.get(t.Context(), follow.Ask{NotBefore: began, Timeout: time.Minute}, testBackoff, c.do)
			if err != nil || seen.Value != 1 {
				t.Errorf("the patient one got %v, %v", seen.Value, err)
			}
		})
		wg.Wait()
	})
}

// A request that began before the hint and fails is no answer to the hint.
func TestLookAHintIsNotLostOnADoomedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l look[int]
		c := &counted{takes: 10 * time.Second, err: &Failure{Kind: Interrupted, cause: errors.New("no")}}
		go func() { _, _ = l.get(t.Context(), follow.Ask{Timeout: time.Minute}, testBackoff, c.do) }()
		time.Sleep(time.Second)
		synctest.Wait()
		c.err = nil // the registry is back; the request on its way will still fail
		l.hint(time.Now())
		seen, err := l.get(t.Context(), follow.Ask{NotBefore: time.Now(), Timeout: time.Minute, Now: true}, testBackoff, c.do)
		if err != nil || seen.Value != 2 {
			t.Errorf("got %d, %v; want the answer of a second request", seen.Value, err)
		}
	})
}
