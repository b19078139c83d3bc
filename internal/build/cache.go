package build

import (
	"container/list"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
)

// Cache keeps what kustomize made, by content: a thousand Kustomizations of one
// bundle are one build. It is safe for concurrent use. Nil and the zero value
// keep nothing.
type Cache struct {
	limit   int64
	mu      sync.Mutex
	bytes   int64
	entries map[[sha256.Size]byte]*list.Element
	recent  list.List // of *entry, the last used first
	flights map[[sha256.Size]byte]*flight
}

type entry struct {
	key [sha256.Size]byte
	set *set
}

// flight is a build that others wait for. A failure is theirs too, and
// forgotten with it.
type flight struct {
	done chan struct{}
	set  *set
	err  error
}

// NewCache makes a cache of at most limit bytes; 0 keeps nothing.
func NewCache(limit int64) *Cache { return &Cache{limit: limit} }

// kustomize gives what the directory of the spec builds to, from memory if it
// is there.
func (c *Cache) kustomize(b Bundle, spec *kustomizev1.KustomizationSpec) (*set, error) {
	if c == nil || b.Digest == "" {
		return prepare(b.FS, spec)
	}
	k, err := key(b.Digest, spec)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if e, found := c.entries[k]; found {
		c.recent.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(*entry).set, nil
	}
	if f, found := c.flights[k]; found {
		c.mu.Unlock()
		<-f.done
		return f.set, f.err
	}
	f := &flight{done: make(chan struct{}), err: errors.New("building was interrupted")}
	if c.flights == nil {
		c.flights = map[[sha256.Size]byte]*flight{}
	}
	c.flights[k] = f
	c.mu.Unlock()
	defer c.land(k, f)
	f.set, f.err = prepare(b.FS, spec)
	return f.set, f.err
}

// land ends a flight, however it ended.
func (c *Cache) land(k [sha256.Size]byte, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, k)
	close(f.done)
	if f.err != nil || f.set.weight() > c.limit {
		return
	}
	if c.entries == nil {
		c.entries = map[[sha256.Size]byte]*list.Element{}
	}
	c.entries[k] = c.recent.PushFront(&entry{k, f.set})
	c.bytes += f.set.weight()
	for c.bytes > c.limit {
		oldest := c.recent.Remove(c.recent.Back()).(*entry)
		delete(c.entries, oldest.key)
		c.bytes -= oldest.set.weight()
	}
}

// key names a build: the content, the directory, and every field of the spec
// that kustomize sees. The versions of kustomize and of this package are no
// part of it, because the cache lives no longer than the process.
func key(bundle string, spec *kustomizev1.KustomizationSpec) ([sha256.Size]byte, error) {
	raw, err := json.Marshal([]any{bundle, directory(spec.Path), kustomizev1.KustomizationSpec{
		TargetNamespace: spec.TargetNamespace, NamePrefix: spec.NamePrefix, NameSuffix: spec.NameSuffix,
		Patches: spec.Patches, Images: spec.Images, BuildMetadata: spec.BuildMetadata,
		Components: spec.Components, IgnoreMissingComponents: spec.IgnoreMissingComponents,
	}})
	return sha256.Sum256(raw), err
}
