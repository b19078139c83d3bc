package delivertest

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
)

// A replica that is killed at any of its requests leaves something that the
// next one finishes: with the same end as if nothing had happened, and nothing
// done twice on the way.
func TestKilledAtAnyRequest(t *testing.T) {
	t.Parallel()
	for _, p := range phases {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			total, want := undisturbed(t, p)
			kills := killsOf(total)
			t.Logf("%d requests count; %d kills", total, len(kills))
			for _, k := range kills {
				t.Run(k.String(), func(t *testing.T) {
					t.Parallel()
					k.check(t, p, want)
				})
			}
		})
	}
}

// counts are the requests at which a controller is killed: writes, because a kill
// between two of them leaves what a kill after the first leaves. Leases and
// Events come when they like.
func counts(q apiproxy.Request) bool {
	return q.Writes() && q.Resource != "events" && q.Resource != "leases"
}

// undisturbed counts the requests of a phase, and gives the state after it.
func undisturbed(t *testing.T, p phase) (total int, want state) {
	t.Run("undisturbed", func(t *testing.T) {
		l := newChained(t)
		proxy := l.proxy()
		l.run(proxy.Config())
		p.before(l)
		proxy.Reset()
		p.push(l)
		l.until(func() string { return p.missing(l) })
		total = proxy.Count(counts)
		want = l.settled(p)
	})
	return total, want
}

// kill is the end of a controller at its n-th request.
type kill struct {
	n     int
	after bool // the request arrived
}

func (k kill) String() string {
	if k.after {
		return fmt.Sprintf("after-%03d", k.n)
	}
	return fmt.Sprintf("before-%03d", k.n)
}

// killsOf chooses some requests, the first and the last among them; or all, both
// ways.
func killsOf(total int) []kill {
	var list []kill
	if os.Getenv("SLUICE_KILL_ALL") != "" {
		for n := 1; n <= total; n++ {
			list = append(list, kill{n, false}, kill{n, true})
		}
		return list
	}
	const some = 5
	for i := range some {
		list = append(list, kill{1 + i*(total-1)/(some-1), i%2 == 0})
	}
	return list
}

func (k kill) check(t *testing.T, p phase, want state) {
	l := newChained(t)
	proxy := l.proxy()
	victim := l.run(proxy.Config())
	p.before(l)
	proxy.KillAt(k.n, victim.cancel, apiproxy.Kill{Match: counts, After: k.after})
	p.push(l)
	l.until(func() string {
		if _, dead := proxy.Killed(); dead || p.missing(l) == "" {
			return ""
		}
		return "neither killed nor done: " + p.missing(l)
	})
	last, dead := proxy.Killed()
	if !dead {
		t.Logf("this time it was done after %d requests", k.n-1)
	}
	victim.cancel()
	l.run(labtest.Config(t))
	got := l.settled(p)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("killed (%t) %s %s; undisturbed (-), then (+):\n%s", dead, k, last, diff)
	}
}
