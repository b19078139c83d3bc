package delivertest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/labtest"
	"github.com/sluice-dev/sluice/internal/labtest/apiproxy"
	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
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

// phase is something that happens to a chain.
type phase struct {
	name    string
	before  func(*link)
	push    func(*link)
	missing func(*link) string
}

const (
	v1, v2, v3 = "v1@sha1:1", "v2@sha1:2", "v3@sha1:3"
)

var phases = []phase{
	{"install", func(*link) {}, (*link).install, func(l *link) string { return l.notReady(v1) }},
	{"upgrade", (*link).installed, func(l *link) { l.publish(v2, l.chain.Files(artifacts.Second)) }, func(l *link) string { return l.notReady(v2) }},
	{"prune", (*link).installed, func(l *link) { l.publish(v3, l.fewer()) }, func(l *link) string { return l.notReady(v3) }},
	{"delete", (*link).installed, (*link).remove, (*link).left},
}

// link is a world with a chain in it.
type link struct {
	*world
	chain artifacts.Chain
	seen  *witness
}

func newLink(t *testing.T) *link {
	w := enter(t)
	l := &link{world: w, chain: artifacts.Chain{Links: 5, Each: 4, Group: w.namespace + ".example.com"}}
	l.seen = w.watch(configMaps, accounts, jobs, deployments, pods)
	t.Cleanup(func() {
		crd := &unstructured.Unstructured{}
		crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		crd.SetName("widgets." + l.chain.Group)
		if err := client.IgnoreNotFound(w.client.Delete(context.Background(), crd)); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *link) install() {
	for _, k := range l.chain.Kustomizations(l.namespace, source) {
		l.must(l.client.Create(l.Context(), k))
	}
	l.publish(v1, l.chain.Files(artifacts.First))
}

func (l *link) installed() {
	l.install()
	l.ready(v1)
}

// fewer is the first version without its ConfigMaps.
func (l *link) fewer() map[string]string {
	files := l.chain.Files(artifacts.First)
	for name := range files {
		if strings.Contains(name, "/configmap-") {
			delete(files, name)
		}
	}
	return files
}

func (l *link) remove() {
	for _, k := range l.all() {
		l.must(client.IgnoreNotFound(l.client.Delete(l.Context(), &k)))
	}
}

// left lists what goes, but has not gone yet. A definition takes its time.
func (l *link) left() string {
	var names []string
	for _, o := range l.labelled(l.chain.Group) {
		if o.GetDeletionTimestamp() != nil {
			names = append(names, o.GetName()+" is about to go")
		}
	}
	for _, k := range l.all() {
		names = append(names, k.Name+" is still there: "+describe(&k))
	}
	return strings.Join(names, "\n")
}

// settled gives the state when a phase is over and a requested run has found
// nothing left to do; and complains about what was done twice.
func (l *link) settled(p phase) state {
	l.Helper()
	l.until(func() string { return p.missing(l) })
	l.requested()
	if twice := l.seen.reborn(); len(twice) > 0 {
		l.Errorf("done twice: %s", strings.Join(twice, ", "))
	}
	if runs, jobs := l.seen.lives("Pod/link-2-v"), l.seen.lives("Job/"); runs != jobs {
		l.Errorf("%d Jobs ran %d times", jobs, runs)
	}
	return l.state(l.chain.Group)
}

// counts are the requests at which a controller is killed. Leases and Events
// come when they like.
func counts(q apiproxy.Request) bool {
	return q.Writes() && q.Resource != "events" && q.Resource != "leases"
}

// undisturbed counts the requests of a phase, and gives the state after it.
func undisturbed(t *testing.T, p phase) (total int, want state) {
	t.Run("undisturbed", func(t *testing.T) {
		l := newLink(t)
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
	const some = 7
	for i := range some {
		list = append(list, kill{1 + i*(total-1)/(some-1), i%2 == 0})
	}
	return list
}

func (k kill) check(t *testing.T, p phase, want state) {
	l := newLink(t)
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
	victim.cancel()
	l.run(labtest.Config(t))
	got := l.settled(p)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("killed (%t) %s %s; undisturbed (-), then (+):\n%s", dead, k, last, diff)
	}
}
