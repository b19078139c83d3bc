package deliver

import (
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Who took an older revision because of many newer ones takes the newest when it
// has arrived, also if nothing more is published.
func TestTheNewestAfterTheFollowed(t *testing.T) {
	inTime(t, func(w *world) {
		w.cluster.slow = 3 * time.Second
		w.chain(2, "r0")
		w.addChain(2)
		w.pass(time.Minute)
		d, last := w.members["k2"].delivery, 0
		for last < 100 && (d.run == nil || !d.run.followed || !d.run.announced) {
			last++
			w.chain(2, fmt.Sprintf("r%d", last))
			w.pass(2 * time.Second)
		}
		if last == 100 {
			t.Fatal("nothing was followed")
		}
		w.pass(time.Minute)
		w.expect("k2", fmt.Sprintf("Applied revision: r%d", last))
	})
}

// What could not be written because somebody changed it is looked at again
// before it is written.
func TestConflictIsLookedAtAgain(t *testing.T) {
	inTime(t, func(w *world) {
		installed(w)
		var calls []string
		w.cluster.fault = func(call string, id objectID) error {
			if call == "apply" && len(calls) == 0 || len(calls) > 0 {
				calls = append(calls, call)
			}
			if call == "apply" && len(calls) == 1 {
				return apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, id.Name, nil)
			}
			return nil
		}
		w.publish("v2", map[string]string{"app/a.yaml": configMap("a", "2"), "app/b.yaml": configMap("b", "1")})
		w.pass(5 * time.Second)
		w.expect("app", "Applied revision: v2")
		if len(calls) < 3 || calls[1] != "observe" || calls[2] != "apply" {
			t.Errorf("calls after the conflict: %v", calls)
		}
	})
}
