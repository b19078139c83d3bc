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
)

// OpenArtifact opens a published artifact by its path and digest; found is
// false if it is not here, or not with that content.
func (s *Store) OpenArtifact(path string, d digest.Digest) (content io.ReadCloser, found bool, err error) {
	if !fs.ValidPath(path) || strings.HasPrefix(path, ".") || d.Validate() != nil {
		return nil, false, nil
	}
	local := filepath.Join(s.root, filepath.FromSlash(path))
	ok, err := s.sound(local, d)
	if err != nil || !ok {
		return nil, false, err
	}
	f, err := os.Open(local)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil // retired in this very moment
	}
	if err != nil {
		return nil, false, fmt.Errorf("opening artifact %s: %w", path, err)
	}
	return f, true, nil
}
