package cluster

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/plan"
)

// index remembers the objects of one kind that carry an owner's label: a record
// of each, never the object.
type index struct {
	override []string // field managers whose fields are taken over
	changed  func(plan.Owner)
	reread   func(types.NamespacedName) // asks the server, later

	mu      sync.Mutex
	entries map[types.NamespacedName]*entry
	rules   map[plan.Owner]*health.Rules // of those who judge by expressions
}

// sighting is what was seen of an object: a record without a UID says that it is
// not there, as of its resourceVersion; older news of it is not believed.
type sighting struct {
	record plan.Record
	rules  *health.Rules // what the health in it was judged by; nil for none
}

type entry struct {
	sighting
	lost     plan.Owner // whose it was when it went
	lostAt   time.Time
	applied  plan.Applied
	verified time.Time // when the server said so itself, not a watch
	// While we write an object, news of it wait: most are of our own write.
	writing int
	before  plan.Record // what had been told when we began to write
}

func newIndex(override []string, changed func(plan.Owner), reread func(types.NamespacedName)) *index {
	return &index{
		override: override, changed: changed, reread: reread,
		entries: map[types.NamespacedName]*entry{}, rules: map[plan.Owner]*health.Rules{},
	}
}

// sight makes a record of an object, with the health that its owner's
// expressions give it.
func (x *index) sight(live *unstructured.Unstructured) sighting {
	s := sighting{record: plan.RecordOf(live, x.override)}
	x.mu.Lock()
	rules := x.rules[s.record.Owner]
	x.mu.Unlock()
	if rules.Covers(s.record.ID.GroupKind()) {
		s.rules, s.record.Health = rules, health.Judge(live, rules)
	}
	return s
}

// judgeBy has the objects of an owner judged by expressions from now on.
func (x *index) judgeBy(owner plan.Owner, rules *health.Rules) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rules[owner] = rules
}

// get gives what is known of an object.
func (x *index) get(key types.NamespacedName) (entry, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[key]; e != nil && e.record.UID != "" {
		return *e, true
	}
	return entry{}, false
}

// seen puts in what a watch or the server said of an object; verified is zero
// for a watch. What is older than what is known is nothing new.
func (x *index) seen(key types.NamespacedName, s sighting, verified time.Time) {
	x.mu.Lock()
	e := x.entry(key)
	var news []plan.Owner
	if order := compare(s.record.ResourceVersion, e.record.ResourceVersion); order >= 0 {
		if order > 0 && e.writing == 0 {
			news = differ(e.record, s.record)
		}
		e.put(s)
		e.verified = later(e.verified, verified)
	}
	x.mu.Unlock()
	x.tell(news)
}

func (e *entry) put(s sighting) {
	if e.record.UID != s.record.UID {
		e.applied = plan.Applied{}
	}
	e.sighting = s
}

// gone takes an object out that a watch says is deleted, or without its label.
// If we know a newer write, the server is asked.
func (x *index) gone(key types.NamespacedName, version string) {
	x.mu.Lock()
	e := x.entries[key]
	if e == nil || e.record.UID == "" {
		x.mu.Unlock()
		return
	}
	if compare(version, e.record.ResourceVersion) < 0 {
		x.mu.Unlock()
		x.reread(key)
		return
	}
	news := e.lose(version)
	x.mu.Unlock()
	x.tell(news)
}

// missing takes an object out that the server says is not there, unless it has
// been written since it was known in a version.
func (x *index) missing(key types.NamespacedName, version string) {
	x.mu.Lock()
	var news []plan.Owner
	if e := x.entries[key]; e != nil && e.record.UID != "" && e.record.ResourceVersion == version {
		news = e.lose(version)
	}
	x.mu.Unlock()
	x.tell(news)
}

// lose makes an entry say that there is no object; the index is locked.
func (e *entry) lose(version string) []plan.Owner {
	var news []plan.Owner
	if e.writing == 0 {
		news = differ(e.record, plan.Record{})
	}
	e.lost, e.lostAt = e.record.Owner, time.Now()
	e.sighting, e.applied = sighting{record: plan.Record{ResourceVersion: version}}, plan.Applied{}
	return news
}

// lostBy tells whether an object was an owner's and went away.
func (x *index) lostBy(key types.NamespacedName, owner plan.Owner) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entries[key]
	return e != nil && e.record.UID == "" && e.lost == owner
}

// lostFor is how long an object that is not there is remembered.
const lostFor = time.Hour

// sweep forgets what went long ago.
func (x *index) sweep(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for key, e := range x.entries {
		if e.record.UID == "" && e.writing == 0 && now.Sub(e.lostAt) > lostFor {
			delete(x.entries, key)
		}
	}
}

// replace puts in a list of everything. Objects that it has not are gone, unless
// they were written after it was made.
func (x *index) replace(list map[types.NamespacedName]sighting, version string, began time.Time) {
	var news []plan.Owner
	x.mu.Lock()
	for key, e := range x.entries {
		if _, there := list[key]; !there && e.record.UID != "" && compare(e.record.ResourceVersion, version) <= 0 {
			news = append(news, e.lose(version)...)
		}
	}
	x.mu.Unlock()
	x.tell(news)
	for key, s := range list {
		x.seen(key, s, began)
	}
}

// fill is the first list: nobody has to be told, those who asked are waiting.
func (x *index) fill(list map[types.NamespacedName]sighting, began time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for key, s := range list {
		e := x.entry(key)
		if compare(s.record.ResourceVersion, e.record.ResourceVersion) >= 0 {
			e.put(s)
			e.verified = later(e.verified, began)
		}
	}
}

// entry makes an entry if there is none; the lock is held.
func (x *index) entry(key types.NamespacedName) *entry {
	e := x.entries[key]
	if e == nil {
		e = &entry{}
		x.entries[key] = e
	}
	return e
}

// owners lists whose objects are known.
func (x *index) owners() []plan.Owner {
	x.mu.Lock()
	defer x.mu.Unlock()
	set := map[plan.Owner]struct{}{}
	for _, e := range x.entries {
		set[e.record.Owner] = struct{}{}
	}
	list := make([]plan.Owner, 0, len(set))
	for owner := range set {
		list = append(list, owner)
	}
	return list
}
