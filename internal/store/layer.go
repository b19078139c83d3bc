package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/follow"
)

// ErrWrongContent says that a download does not have the digest it was asked
// for by.
var ErrWrongContent = errors.New("the content does not match its digest")

// download is one layer on its way, awaited by all who want it.
type download struct {
	done chan struct{}
	err  error
}

// Layer opens a layer, downloading it if it is not here. Callers that want the
// same digest at the same time share one download; if that fails the next in
// line tries with its own fetch. Whoever did not download it has to prove that
// they may have it. size < 0 means unknown.
func (s *Store) Layer(ctx context.Context, d digest.Digest, size int64, want follow.Supply) (io.ReadCloser, error) {
	path := s.layerPath(d)
	earned := false
	for {
		ok, err := s.sound(path, d)
		if err != nil {
			return nil, fmt.Errorf("reading layer %s from the store: %w", d, err)
		}
		if ok && !earned {
			if err := want.Prove(ctx); err != nil {
				return nil, err
			}
			earned = true
		}
		if ok {
			now := time.Now()
			_ = os.Chtimes(path, now, now) // used now: only a hint for Collect
			if err := s.rememberWritten(path, d); err != nil {
				continue // collected in this very moment
			}
			return os.Open(path)
		}
		s.mu.Lock()
		running, found := s.loading[d]
		if !found {
			running = &download{done: make(chan struct{})}
			s.loading[d] = running
		}
		s.mu.Unlock()
		if !found {
			// Another download may have ended since we looked.
			there, err := s.sound(path, d)
			if !there && err == nil {
				running.err = s.download(ctx, d, size, path, want.Fetch)
				earned = running.err == nil
			}
			s.mu.Lock()
			delete(s.loading, d)
			s.mu.Unlock()
			close(running.done)
			if running.err != nil {
				return nil, running.err
			}
			continue
		}
		select {
		case <-running.done: // there now, or our own fetch is next
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Store) download(ctx context.Context, d digest.Digest, size int64, path string, fetch func(context.Context) (io.ReadCloser, error)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("storing layer %s: %w", d, err)
	}
	body, err := fetch(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	var failed error
	err = s.write(func(w io.Writer) error {
		verifier := d.Verifier()
		var from io.Reader = body
		if size >= 0 {
			from = io.LimitReader(body, size+1)
		}
		n, err := io.Copy(io.MultiWriter(w, verifier), from)
		switch {
		case err != nil:
			failed = err
		case size >= 0 && n != size:
			failed = fmt.Errorf("%w: layer %s has %d bytes or more instead of %d", ErrWrongContent, d, n, size)
		case !verifier.Verified():
			failed = fmt.Errorf("%w: layer %s", ErrWrongContent, d)
		}
		return failed
	}, func(temp string) error { return os.Rename(temp, path) })
	if err != nil && failed == nil {
		return fmt.Errorf("storing layer %s: %w", d, err)
	}
	if err != nil {
		return err
	}
	return s.rememberWritten(path, d)
}
