package flux

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/archive"
)

// shelf holds the bundles that were used last, up to a number of bytes, and
// lets all who want one at the same time share one download.
type shelf struct {
	limit int64

	mu      sync.Mutex
	held    map[digest.Digest]*entry
	size    int64
	tick    int64
	loading map[digest.Digest]*loading
}

type entry struct {
	tree *archive.Tree
	used int64
}

type loading struct {
	done chan struct{}
	tree *archive.Tree
	err  error
}

func (s *shelf) get(ctx context.Context, d digest.Digest, load func(context.Context) (*archive.Tree, error)) (*archive.Tree, error) {
	for {
		s.mu.Lock()
		if e, found := s.held[d]; found {
			s.tick++
			e.used = s.tick
			s.mu.Unlock()
			return e.tree, nil
		}
		l, running := s.loading[d]
		if !running {
			l = &loading{done: make(chan struct{})}
			if s.loading == nil {
				s.loading, s.held = map[digest.Digest]*loading{}, map[digest.Digest]*entry{}
			}
			s.loading[d] = l
		}
		s.mu.Unlock()
		if !running {
			return s.load(ctx, d, l, load)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.done:
		}
		// The one who loaded may have been called off: then it is our turn.
		if l.err == nil {
			return l.tree, nil
		}
		if l.err != context.Canceled && l.err != context.DeadlineExceeded {
			return nil, l.err
		}
	}
}

func (s *shelf) load(ctx context.Context, d digest.Digest, l *loading, load func(context.Context) (*archive.Tree, error)) (*archive.Tree, error) {
	l.tree, l.err = load(ctx)
	if l.err != nil && ctx.Err() != nil {
		l.err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.loading, d)
	close(l.done)
	if l.err == nil {
		s.keep(d, l.tree)
	}
	return l.tree, l.err
}

// keep makes room by forgetting what was used longest ago.
func (s *shelf) keep(d digest.Digest, tree *archive.Tree) {
	if tree.Bytes() > s.limit {
		return
	}
	s.tick++
	s.held[d] = &entry{tree: tree, used: s.tick}
	s.size += tree.Bytes()
	for s.size > s.limit {
		var oldest digest.Digest
		for other, e := range s.held {
			if other != d && (oldest == "" || e.used < s.held[oldest].used) {
				oldest = other
			}
		}
		if oldest == "" {
			return
		}
		s.size -= s.held[oldest].tree.Bytes()
		delete(s.held, oldest)
	}
}
