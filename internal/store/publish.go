package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/follow"
)

// dirOf is a source's directory relative to the root (fluxcd/pkg/artifact
// storage/storage.go).
func dirOf(s follow.Source) string {
	return filepath.Join(strings.ToLower(s.Kind), s.Namespace, s.Name)
}

// latest is the link to a source's current artifact.
const latest = "latest.tar.gz"

// Publish stores what fill writes as a source's file and points the source's
// latest link to it. The content is kept once, however many sources publish it.
func (s *Store) Publish(source follow.Source, file string, fill func(io.Writer) error) (follow.Published, error) {
	var p follow.Published
	failed := func(err error) (follow.Published, error) {
		return follow.Published{}, fmt.Errorf("storing artifact %s of %s %s/%s: %w", file, source.Kind, source.Namespace, source.Name, err)
	}
	if file == "" || file == latest || strings.ContainsAny(file, `/\`) || strings.HasPrefix(file, ".") {
		return failed(fmt.Errorf("%q is no file name", file))
	}
	err := s.write(func(w io.Writer) error {
		h := newHashing(w)
		err := fill(h)
		p.Digest, p.Size = h.digest(), h.size
		return err
	}, func(temp string) error {
		archive := s.archivePath(p.Digest)
		if ok, err := s.sound(archive, p.Digest); err != nil || ok {
			return err
		}
		if err := os.Chmod(temp, 0o600); err != nil {
			return err
		}
		if err := os.Rename(temp, archive); err != nil {
			return err
		}
		return s.rememberWritten(archive, p.Digest)
	})
	if err != nil {
		return failed(err)
	}
	dir := filepath.Join(s.root, dirOf(source))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return failed(err)
	}
	if err := replaceLink(os.Link, s.archivePath(p.Digest), filepath.Join(dir, file)); err != nil {
		return failed(err)
	}
	if err := s.rememberWritten(filepath.Join(dir, file), p.Digest); err != nil {
		return failed(err)
	}
	if err := replaceLink(os.Symlink, file, filepath.Join(dir, latest)); err != nil {
		return failed(err)
	}
	p.Path = filepath.ToSlash(filepath.Join(dirOf(source), file))
	p.URL, p.Latest = s.URL(p.Path), s.latestURL(source)
	return p, nil
}

// latestURL is where the source's current artifact is always found.
func (s *Store) latestURL(source follow.Source) string {
	return s.URL(filepath.ToSlash(filepath.Join(dirOf(source), latest)))
}

// Find tells whether a published path is there with its content intact. A file
// that was changed behind our back is removed, so that nobody consumes it.
func (s *Store) Find(source follow.Source, path string, d digest.Digest) (follow.Published, bool, error) {
	// The path comes from a status: it may only name a file of this source.
	if !fs.ValidPath(path) || filepath.Dir(filepath.FromSlash(path)) != dirOf(source) || d.Validate() != nil {
		return follow.Published{}, false, nil
	}
	local := filepath.Join(s.root, filepath.FromSlash(path))
	ok, err := s.sound(local, d)
	if err != nil {
		return follow.Published{}, false, fmt.Errorf("checking artifact %s: %w", path, err)
	}
	if ok {
		return follow.Published{Path: path, URL: s.URL(path), Latest: s.latestURL(source), Digest: d}, true, nil
	}
	// Only the source's own name goes: others may be publishing the same content
	// in this moment, and Publish replaces content that is damaged.
	s.forget(local)
	if err := os.Remove(local); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return follow.Published{}, false, fmt.Errorf("removing damaged artifact %s: %w", path, err)
	}
	return follow.Published{}, false, nil
}

// replaceLink makes a link at path in one step, whatever was there.
func replaceLink(link func(old, new string) error, target, path string) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := link(target, temp); err != nil {
		return err
	}
	// Renaming a hard link onto another link of the same file does nothing and
	// leaves both: the temporary name has to go then.
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
