package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/follow"
)

// keepLayer is how long a layer that nobody opened is kept: long enough for
// all consumers of a push, and for a changed ignore rule soon after.
const keepLayer = time.Hour

// Retire removes older artifacts of a source: those beyond KeepRecords that
// are also older than KeepFor, never the current one (fluxcd/pkg/artifact
// storage/gc.go). It returns how many went.
func (s *Store) Retire(source follow.Source, current string, now time.Time) (int, error) {
	dir := filepath.Join(s.root, dirOf(source))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("collecting old artifacts of %s: %w", dirOf(source), err)
	}
	type record struct {
		path string
		at   time.Time
	}
	var old []record
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || e.Name() == filepath.Base(filepath.FromSlash(current)) {
			continue
		}
		old = append(old, record{path, info.ModTime()})
	}
	slices.SortFunc(old, func(a, b record) int { return b.at.Compare(a.at) })
	removed := 0
	for i, r := range old {
		if i < s.options.KeepRecords-1 || now.Sub(r.at) <= s.options.KeepFor {
			continue
		}
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("collecting old artifacts of %s: %w", dirOf(source), err)
		}
		s.forget(r.path)
		removed++
	}
	return removed, nil
}

// Remove deletes all artifacts of a source that is gone.
func (s *Store) Remove(source follow.Source) error {
	dir := filepath.Join(s.root, dirOf(source))
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the artifacts of %s: %w", dirOf(source), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for path := range s.verified {
		if filepath.Dir(path) == dir {
			delete(s.verified, path)
		}
	}
	return nil
}

// Collect frees content that no source publishes any more and layers that
// nobody opened for a while.
func (s *Store) Collect(now time.Time) error {
	return filepath.WalkDir(filepath.Join(s.root, content), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("collecting content: %w", err)
		}
		if d.IsDir() {
			if d.Name() == "partial" {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone meanwhile
		}
		unused := now.Sub(info.ModTime()) > keepLayer
		if filepath.Base(filepath.Dir(path)) == "archives" {
			unused = unused && links(info) == 1
		}
		if !unused {
			return nil
		}
		s.forget(path)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("collecting content: %w", err)
		}
		return nil
	})
}
