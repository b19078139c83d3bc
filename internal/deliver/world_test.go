package deliver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/inventory"
	"github.com/sluice-dev/sluice/internal/object"
	"github.com/sluice-dev/sluice/internal/plan"
)

// fataler is what the world needs of a test; rapid's T has it too.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is an API server with Kustomizations, one source, a cluster, and what
// the controller does between them: all in memory, in virtual time, one pass
// after the other.
type world struct {
	t       fataler
	engine  *Engine
	cluster *model
	members map[string]*member
	bundles map[string]fstest.MapFS
	values  map[string]map[string]string
	source  Source
	timers  []timer
	pick    func(n int) int // among what is due

	mu      sync.Mutex // of the ports: writes are made side by side
	ctx     context.Context
	cancel  context.CancelFunc
	calls   int
	crash   int  // at this call the process dies
	after   bool // when its effect is there
	revive  bool // and starts again
	tracked bool // check at every call that nothing is untracked
	absent  bool // artifacts cannot be read
}

type timer struct {
	at time.Time
	do func()
}

// member is a Kustomization and what a controller remembers of it.
type member struct {
	w        *world
	ks       *kustomizev1.Kustomization
	journal  *book
	delivery *Delivery
	removal  *Removal
	due      time.Time
	gone     bool
	reads    int // by dependents
}

// cache is shared: the same bundles are built again and again.
var cache = build.NewCache(1 << 26)

func newWorld(t fataler) *world {
	w := &world{t: t, members: map[string]*member{}, bundles: map[string]fstest.MapFS{}, values: map[string]map[string]string{}, tracked: true}
	w.cluster = newModel(w)
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.engine = &Engine{
		Builds: cache, Bundles: w, Values: w, Peers: w, Targets: w, Claims: w,
		Policy: Policy{
			Strict: true, Supersede: true, FailFast: true, Reverse: true, Recheck: 30 * time.Second,
			Spread: func(d time.Duration) time.Duration { return d },
			Apply:  ApplyPolicy{Concurrent: 1},
		},
	}
	return w
}

func (w *world) port(ctx context.Context, call string, effect func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	n := w.calls
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if n == w.crash && !w.after {
		w.cancel()
		return ctx.Err()
	}
	err := effect()
	w.check(call)
	if n == w.crash {
		w.cancel()
		return ctx.Err()
	}
	return err
}

// check: nothing that carries our labels is outside of an inventory.
func (w *world) check(call string) {
	for id, u := range w.cluster.objects {
		m := w.members[plan.OwnerOf(u).Name]
		if !w.tracked || m == nil || m.gone {
			continue
		}
		if own, err := inventory.Read(m.ks.Status.Inventory); err != nil || !own.Has(id) {
			w.t.Fatalf("after %s: %s is in no inventory", call, id)
		}
	}
}

// The ports.

func (w *world) Open(ctx context.Context, a *meta.Artifact) (Bundle, error) {
	err := w.port(ctx, "open", func() error {
		if w.absent || w.bundles[a.Revision] == nil {
			return ErrNoArtifact
		}
		return nil
	})
	return Bundle{FS: w.bundles[a.Revision], Digest: a.Digest}, err
}

func (w *world) Values(_ context.Context, kind, _, name string) (map[string]string, bool, error) {
	data, found := w.values[kind+"/"+name]
	return data, found, nil
}

func (w *world) Peer(ctx context.Context, name types.NamespacedName) (*kustomizev1.Kustomization, error) {
	var peer *kustomizev1.Kustomization
	err := w.port(ctx, "peer", func() error {
		if m := w.members[name.Name]; m != nil && !m.gone {
			m.reads++
			peer = m.ks.DeepCopy()
		}
		return nil
	})
	return peer, err
}

func (w *world) Target(ctx context.Context, _ *kustomizev1.Kustomization) (Target, error) {
	return w.cluster, w.port(ctx, "target", func() error { return nil })
}

func (w *world) Claimed(ctx context.Context, ks *kustomizev1.Kustomization, ids []object.ID) (map[object.ID]string, error) {
	claimed := map[object.ID]string{}
	for _, m := range w.members {
		if m.ks.Name == ks.Name || m.gone || m.ks.DeletionTimestamp != nil || m.ks.Spec.Suspend {
			continue
		}
		wanted, err := w.engine.Wants(ctx, m.occasion())
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			continue
		}
		for _, id := range ids {
			if wanted.Has(id) {
				claimed[id] = ks.Namespace + "/" + m.ks.Name
			}
		}
	}
	return claimed, nil
}

// What people do.

func (w *world) publish(revision string, files map[string]string) {
	bundle := fstest.MapFS{}
	for name, text := range files {
		bundle[name] = &fstest.MapFile{Data: []byte(text)}
	}
	w.bundles[revision] = bundle
	digest := "sha256:" + revision + fmt.Sprint(files)
	w.source = Source{Artifact: &meta.Artifact{Revision: revision, Digest: digest}}
	for _, name := range w.names() {
		w.wake(name)
	}
}

func (w *world) add(name string, change ...func(*kustomizev1.Kustomization)) *member {
	ks := &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", Generation: 1, UID: types.UID(name), ResourceVersion: "1"}}
	ks.Spec.SourceRef = kustomizev1.CrossNamespaceSourceReference{Kind: "OCIRepository", Name: "src"}
	ks.Spec.Path, ks.Spec.Prune, ks.Spec.Wait = "./"+name, true, true
	ks.Spec.Interval.Duration = 10 * time.Minute
	ks.Spec.Timeout = &metav1.Duration{Duration: 30 * time.Second}
	ks.Spec.RetryInterval = &metav1.Duration{Duration: time.Minute}
	ks.Status.ObservedGeneration = -1
	for _, f := range change {
		f(ks)
	}
	m := &member{w: w, ks: ks}
	w.members[name] = m
	m.start()
	return m
}

func needs(names ...string) func(*kustomizev1.Kustomization) {
	return func(ks *kustomizev1.Kustomization) {
		for _, n := range names {
			ks.Spec.DependsOn = append(ks.Spec.DependsOn, kustomizev1.DependencyReference{Name: n})
		}
	}
}

// edit changes the object as an author does.
func (m *member) edit(change func(*kustomizev1.Kustomization)) {
	m.ks = m.ks.DeepCopy()
	before := m.ks.Spec.DeepCopy()
	change(m.ks)
	if fmt.Sprint(before) != fmt.Sprint(&m.ks.Spec) {
		m.ks.Generation++
	}
	m.touch()
	m.w.wake(m.ks.Name)
}

func (m *member) touch() {
	var rv int
	_, _ = fmt.Sscan(m.ks.ResourceVersion, &rv)
	m.ks.ResourceVersion = fmt.Sprint(rv + 1)
}

func (m *member) annotate(key, value string) {
	m.edit(func(ks *kustomizev1.Kustomization) { metav1.SetMetaDataAnnotation(&ks.ObjectMeta, key, value) })
}

// What the controller does.

func (m *member) start() {
	m.journal = &book{m: m}
	m.delivery = New(m.w.engine, m.journal)
	m.removal = NewRemoval(m.w.engine, m.journal)
	m.due = time.Now()
}

// restart is another process after a crash.
func (w *world) restart() {
	w.ctx, w.cancel = context.WithCancel(context.Background())
	for _, m := range w.members {
		m.start()
	}
}

func (w *world) revived() bool {
	if w.ctx.Err() == nil || !w.revive {
		return false
	}
	w.revive = false
	time.Sleep(time.Second)
	w.restart()
	return true
}

func (m *member) occasion() Occasion {
	return Occasion{Kustomization: m.ks.DeepCopy(), Source: m.w.source}
}

func (m *member) pass() {
	switch {
	case m.gone:
		m.due = time.Time{}
	case m.ks.DeletionTimestamp != nil:
		m.due = time.Time{}
		done, due := m.removal.Advance(m.w.ctx, m.ks.DeepCopy())
		if m.gone = done && m.w.ctx.Err() == nil; !m.gone {
			m.due = soonest(m.due, due)
		}
	case m.ks.Spec.Suspend:
		m.delivery.Rest()
		m.due = time.Time{}
	default:
		m.due = time.Time{}
		m.due = soonest(m.due, m.delivery.Advance(m.w.ctx, m.occasion()).Again)
	}
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.members)) }

func (w *world) wake(name string) {
	if m := w.members[name]; m != nil {
		m.due = time.Now()
	}
}

func (w *world) wakeAt(at time.Time, owner plan.Owner) { w.at(at, func() { w.wake(owner.Name) }) }

func (w *world) at(at time.Time, do func()) { w.timers = append(w.timers, timer{at, do}) }

// turn does one thing that is due by a time; false if there is none.
func (w *world) turn(by time.Time) bool {
	type job struct {
		at time.Time
		do func()
	}
	var due []job
	next := func(at time.Time, do func()) {
		switch {
		case at.IsZero() || at.After(by):
		case len(due) == 0 || at.Before(due[0].at) && due[0].at.After(time.Now()):
			due = []job{{at, do}}
		case !at.After(due[0].at) || !at.After(time.Now()):
			due = append(due, job{at, do})
		}
	}
	for i, t := range w.timers {
		next(t.at, func() {
			w.timers = slices.Delete(w.timers, i, i+1)
			t.do()
		})
	}
	for _, name := range w.names() {
		m := w.members[name]
		next(m.due, m.pass)
	}
	if len(due) == 0 || w.ctx.Err() != nil {
		return false
	}
	i := 0
	if w.pick != nil {
		i = w.pick(len(due))
	}
	time.Sleep(time.Until(due[i].at))
	due[i].do()
	return true
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	until := time.Now().Add(d)
	for i := 0; w.turn(until) || w.revived(); i++ {
		if i > 20000 {
			w.t.Fatalf("it does not come to rest: %v", w.report())
		}
	}
	if w.ctx.Err() == nil {
		time.Sleep(time.Until(until))
	}
}

// The state.

func (m *member) condition(kind string) string {
	c := apimeta.FindStatusCondition(m.ks.Status.Conditions, kind)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason + ": " + c.Message
}

func (m *member) ready() string { return m.condition(meta.ReadyCondition) }

func (w *world) expect(name, ready string) {
	w.t.Helper()
	if got := w.members[name].ready(); !strings.Contains(got, ready) {
		w.t.Fatalf("%s is %q, want %q\n%s", name, got, ready, strings.Join(w.members[name].journal.lines, "\n"))
	}
}

// report is what is left in the end, without what differs from run to run.
func (w *world) report() []string {
	var lines []string
	for id, u := range w.cluster.objects {
		text, _ := withoutUID(u).MarshalJSON()
		lines = append(lines, id.String()+" "+string(text))
	}
	for name, m := range w.members {
		own, err := inventory.Read(m.ks.Status.Inventory)
		lines = append(lines, fmt.Sprint(name, " ", m.gone, " ", m.ready(), " ", m.condition(meta.HealthyCondition) != "", " ", own.IDs(), err,
			m.ks.Status.LastAppliedRevision, m.ks.Status.ObservedGeneration, m.condition(meta.ReconcilingCondition), m.condition(meta.StalledCondition)))
	}
	slices.Sort(lines)
	return lines
}

func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  namespace: ns\ndata:\n  v: %q\n", name, value)
}

func job(name, image string, ttl string) string {
	return fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata:
  name: %s
  namespace: ns
spec:
%s  template:
    spec:
      restartPolicy: Never
      containers:
      - name: c
        image: %s
`, name, ttl, image)
}

const ttl = "  ttlSecondsAfterFinished: 5\n"

func cm(name string) object.ID { return object.ID{Kind: "ConfigMap", Namespace: "ns", Name: name} }

var errDown = errors.New("connection refused")

func TestMain(m *testing.M) {
	// The first build reads schemas; it is not to happen in virtual time.
	w := newWorld(nil)
	w.publish("warm", map[string]string{"a/a.yaml": configMap("a", "1") + "---\n" + job("j", "i", ttl)})
	ks := &kustomizev1.Kustomization{}
	ks.Spec.Path = "./a"
	if _, err := w.engine.Wants(context.Background(), Occasion{Kustomization: ks, Source: w.source}); err != nil {
		panic(err)
	}
	m.Run()
}
