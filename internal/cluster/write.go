package cluster

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/internal/plan"
)

// write announces a write of ours: until done is called, news of the object
// wait. Done takes the object that came back, or nil if nothing is known, and
// the digest of what was wanted.
func (x *index) write(key types.NamespacedName) (done func(live *unstructured.Unstructured, desired string)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entry(key)
	if e.writing++; e.writing == 1 {
		e.before = e.record
	}
	return func(live *unstructured.Unstructured, desired string) {
		var s sighting
		if live != nil {
			s = x.sight(live)
		}
		x.wrote(e, s, desired)
	}
}

func (x *index) wrote(e *entry, s sighting, desired string) {
	x.mu.Lock()
	if s.record.UID != "" {
		e.before = s.record
		if compare(s.record.ResourceVersion, e.record.ResourceVersion) >= 0 {
			e.put(s)
			e.verified = time.Now()
		}
		if e.record.UID == s.record.UID {
			e.applied = plan.Applied{Desired: desired, Owned: s.record.OwnedDigest}
		}
	}
	var news []plan.Owner
	if e.writing--; e.writing == 0 && e.record.ResourceVersion != e.before.ResourceVersion {
		news = differ(e.before, e.record)
	}
	if e.record.UID == "" {
		e.lostAt = time.Now()
	}
	x.mu.Unlock()
	x.tell(news)
}

// settle remembers that an object in this state is as wanted.
func (x *index) settle(key types.NamespacedName, uid string, applied plan.Applied) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[key]; e != nil && e.record.UID == uid {
		e.applied = applied
	}
}
