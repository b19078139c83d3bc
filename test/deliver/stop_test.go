package delivertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/wire"
)

// many is the directory of an app of many objects.
func many(n int, version string) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("app/%d.yaml", i)] = configMap(fmt.Sprintf("part-%d", i), version)
	}
	return files
}

// A controller that is told to stop in the middle of a roll-out stops soon, and
// leaves nothing that is not written down; the next one finishes.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	w := enter(t)
	proxy := w.proxy()
	e := w.run(proxy.Config())
	proxy.Fault(func(q apiproxy.Request) *apiproxy.Fault {
		if q.Verb == "apply" {
			return &apiproxy.Fault{Delay: 200 * time.Millisecond}
		}
		return nil
	})
	w.publish(v1, many(60, "1"))
	w.kustomization(app, app)
	w.until(func() string { return fewer(proxy.Count(on("apply", "configmaps")), 20) })
	began := time.Now()
	e.stop()
	took := time.Since(began)
	t.Logf("stopped after %s", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("took %s to stop", took)
	}
	if e.err != nil {
		t.Errorf("ended with: %v", e.err)
	}
	k := w.read(app)
	if isReady(k) {
		t.Error("says that it is Ready")
	}
	inv, err := inventory.Read(k.Status.Inventory)
	w.must(err)
	there := w.labelled("no.group")
	for _, o := range there {
		if id := object.IDOf(&o); !inv.Has(id) {
			t.Errorf("%s is in no inventory", id)
		}
	}
	if len(there) == 0 || len(there) == 60 {
		t.Errorf("stopped with %d objects, want the middle", len(there))
	}
	w.run(labtest.Config(t))
	w.ready(v1)
}

// A leader that dies in the middle of a stage is followed by the standby, which
// finishes what it began.
func TestTheNextLeaderFinishes(t *testing.T) {
	t.Parallel()
	w := enter(t)
	elect := func(o *wire.Options) {
		o.LeaderElection, o.ReleaseOnCancel = true, true
		o.LeaseDuration, o.RenewDeadline, o.RetryTime = 6*time.Second, 4*time.Second, 500*time.Millisecond
	}
	proxy := w.proxy()
	first := w.run(proxy.Config(), elect)
	second := w.start(labtest.Config(t), elect)
	seen := w.watch(configMaps)
	w.publish(v1, many(30, "1"))
	proxy.KillAt(15, first.cancel, apiproxy.Kill{Match: on("apply", ""), After: true})
	w.kustomization(app, app)
	w.until(func() string {
		if _, dead := proxy.Killed(); !dead {
			return "the leader lives"
		}
		return ""
	})
	select {
	case <-second.leads:
		t.Error("two lead at a time")
	default:
	}
	w.ready(v1)
	select {
	case <-second.leads:
	default:
		t.Error("nobody leads")
	}
	if twice := seen.reborn(); len(twice) > 0 {
		t.Errorf("%v", twice)
	}
	w.state("")
}
