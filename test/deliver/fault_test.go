package delivertest

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
	"github.com/sluice-dev/sluice/internal/wire"
)

// Whatever the API server does wrong for a while, the end is as if nothing had
// happened, nothing is done twice, Ready is never claimed too early, and what
// is said is the same each time.
func TestFaultsPass(t *testing.T) {
	t.Parallel()
	want := map[string]state{}
	t.Run("none", func(t *testing.T) {
		want[v1], want[v2] = disturbed(t, func(*apiproxy.Proxy) {})
	})
	for name, disturb := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := disturbed(t, disturb)
			if diff := cmp.Diff(want[v1], first); diff != "" {
				t.Errorf("install (-undisturbed +got):\n%s", diff)
			}
			if diff := cmp.Diff(want[v2], second); diff != "" {
				t.Errorf("upgrade (-undisturbed +got):\n%s", diff)
			}
		})
	}
}

type disturbance = func(*apiproxy.Proxy)

var faults = map[string]disturbance{
	"conflicts of statuses": some(3, on("patch", "kustomizations"), apiproxy.Fault{Status: http.StatusConflict}),
	"statuses refused":      some(3, on("patch", "kustomizations"), apiproxy.Fault{Status: http.StatusInternalServerError}),
	"statuses unanswered":   some(2, on("patch", "kustomizations"), apiproxy.Fault{CutAfter: true}),
	"too many applies":      some(4, on("apply", ""), apiproxy.Fault{Status: http.StatusTooManyRequests, RetryAfter: 1}),
	"too many for long":     some(4, on("apply", ""), apiproxy.Fault{Status: http.StatusTooManyRequests}),
	"applies fail":          some(3, on("apply", ""), apiproxy.Fault{Status: http.StatusInternalServerError}),
	"applies conflict":      some(3, on("apply", ""), apiproxy.Fault{Status: http.StatusConflict}),
	"applies time out":      some(3, on("apply", ""), apiproxy.Fault{Status: http.StatusGatewayTimeout}),
	"applies hang":          some(2, on("apply", ""), apiproxy.Fault{Hang: true}),
	"applies unanswered":    some(3, on("apply", ""), apiproxy.Fault{CutAfter: true}),
	"reads fail":            some(3, on("get", "configmaps"), apiproxy.Fault{Status: http.StatusServiceUnavailable}),
	"lists fail":            some(3, on("list", ""), apiproxy.Fault{Status: http.StatusInternalServerError}),
	"deletions fail":        some(1, on("delete", ""), apiproxy.Fault{Status: http.StatusInternalServerError}),
	"deletions unanswered":  some(1, on("delete", ""), apiproxy.Fault{CutAfter: true}),
	"discovery fails":       some(3, isDiscovery, apiproxy.Fault{Status: http.StatusServiceUnavailable}),
	"watches fail":          some(6, on("watch", ""), apiproxy.Fault{Status: http.StatusInternalServerError}),
	"everything is slow":    some(200, func(apiproxy.Request) bool { return true }, apiproxy.Fault{Delay: 50 * time.Millisecond}),
	"reads are stale":       some(8, on("get", ""), apiproxy.Fault{Stale: true}),
	"watches are cut": func(p *apiproxy.Proxy) {
		some(4, on("watch", ""), apiproxy.Fault{Cut: true})(p)
		p.CutWatches()
	},
	"nobody answers": func(p *apiproxy.Proxy) {
		p.Refuse(true)
		time.AfterFunc(5*time.Second, func() { p.Refuse(false) })
	},
	"caches lag": func(p *apiproxy.Proxy) {
		p.HoldWatches(func(q apiproxy.Request) bool { return q.Resource == "kustomizations" || q.Resource == "deployments" })
		time.AfterFunc(3*time.Second, func() { p.HoldWatches(nil) })
	},
}

// some has the first n matching requests fail.
func some(n int, match func(apiproxy.Request) bool, fault apiproxy.Fault) disturbance {
	return func(p *apiproxy.Proxy) {
		var mu sync.Mutex
		left := n
		p.Fault(func(q apiproxy.Request) *apiproxy.Fault {
			mu.Lock()
			defer mu.Unlock()
			if left == 0 || !match(q) {
				return nil
			}
			left--
			return &fault
		})
	}
}

// on matches a verb, of one resource unless that is empty.
func on(verb, resource string) func(apiproxy.Request) bool {
	return func(q apiproxy.Request) bool {
		return q.Verb == verb && (q.Resource == resource || resource == "" && q.Resource != "") && q.Resource != "events"
	}
}

func isDiscovery(q apiproxy.Request) bool { return q.Resource == "" && q.Path != "/version" }

const app = "app"

func appFiles(version string) map[string]string {
	files := map[string]string{
		"app/account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: app}\n",
		"app/web.yaml":     deployment("web", version, `, lab.sluice.dev/after: 200ms`),
		"app/a.yaml":       configMap("a", version),
		"app/only.yaml":    configMap("only-"+version, version),
	}
	return files
}

// disturbed installs and upgrades while something goes wrong, and gives the
// states after both.
func disturbed(t *testing.T, disturb disturbance) (first, second state) {
	w := enter(t)
	p := w.proxy()
	w.run(p.Config(), func(o *wire.Options) { o.Kustomize.RequestTimeout = 2 * time.Second })
	seen := w.watch(accounts, deployments)
	past := w.chronicle()
	w.publish(v1, appFiles("1"))
	disturb(p)
	w.kustomization(app, app)
	first = w.calm(p, v1)
	disturb(p)
	w.publish(v2, appFiles("2"))
	second = w.calm(p, v2)
	if twice := seen.reborn(); len(twice) > 0 {
		t.Errorf("done twice: %s", strings.Join(twice, ", "))
	}
	w.plausible(past)
	return first, second
}

// calm waits until a revision is delivered, and gives the state when nothing is
// wrong any more.
func (w *world) calm(p *apiproxy.Proxy, revision string) state {
	w.Helper()
	w.ready(revision, app)
	var cm corev1.ConfigMap
	w.must(w.client.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "a"}, &cm))
	if want := revision[1:2]; cm.Data["version"] != want {
		w.Errorf("Ready at %s while an object still has version %s", revision, cm.Data["version"])
	}
	p.Fault(nil)
	p.HoldWatches(nil)
	w.requested()
	s := w.state("")
	for name, text := range s {
		s[name] = pastTries.ReplaceAllString(text, "")
	}
	return s
}

// pastTries of a Kustomization may have failed.
var pastTries = regexp.MustCompile(`(?s)  history:\n.*?\n  inventory:`)

// unstable is what differs from one time to the next.
var unstable = regexp.MustCompile(`127\.0\.0\.1|:[0-9]{4,5}\b|stream|0x[0-9a-f]+|[0-9]{2}:[0-9]{2}:[0-9]{2}|request N`)

// plausible looks at how the statuses went.
func (w *world) plausible(past *chronicle) {
	w.Helper()
	course := past.course(app)
	w.Logf("%s", strings.Join(course, " → "))
	for _, message := range past.messages(app) {
		if found := unstable.FindString(message); found != "" {
			w.Errorf("a message has %q: %s", found, message)
		}
	}
	last := ""
	for _, step := range course {
		revision, ready := strings.CutPrefix(step, "True ReconciliationSucceeded ")
		if ready && revision < last {
			w.Errorf("went back to %s after %s", revision, last)
		}
		if ready {
			last = revision
		}
	}
	if n := strings.Count(fmt.Sprint(course), "True"); n > 4 {
		w.Errorf("Ready came and went %d times", n)
	}
}
