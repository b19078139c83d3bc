package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluice-dev/sluice/internal/archive"
)

// streamName is what a bundle from stdin or a pipe holds.
const streamName = "manifests.yaml"

// readBundle reads a directory, a file or, for "-", stdin into a tree.
func readBundle(name string, stdin io.Reader, skip archive.Skip, resolve bool) (*archive.Tree, error) {
	if name == "-" {
		return readStream(streamName, 0o644, stdin)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, cause(err)
	case info.IsDir() && resolve:
		return archive.Load(through{os.DirFS(name), name, skip}, skip, archive.DefaultLimits)
	case info.IsDir():
		return archive.Load(os.DirFS(name), skip, archive.DefaultLimits)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Mode().IsRegular() {
		return readStream(filepath.Base(name), info.Mode(), f)
	}
	return readStream(streamName, 0o644, f) // a pipe: <(kustomize build)
}

func readStream(name string, mode fs.FileMode, r io.Reader) (*archive.Tree, error) {
	data, err := io.ReadAll(io.LimitReader(r, archive.DefaultLimits.Bytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) == 0:
		return archive.NewTree(nil)
	case int64(len(data)) > archive.DefaultLimits.Bytes:
		return nil, fmt.Errorf("%w: more than %d bytes", archive.ErrTooLarge, archive.DefaultLimits.Bytes)
	}
	return archive.NewTree([]archive.File{{Path: name, Mode: mode, Data: data}})
}

// through is a directory in which symlinks are what they point to, wherever
// that is.
type through struct {
	fs.FS
	root string
	skip archive.Skip
}

// ReadDir implements fs.ReadDirFS. A link back to a directory that it is in
// would never end, so it is an error.
func (t through) ReadDir(dir string) ([]fs.DirEntry, error) {
	if err := t.endless(dir); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(t.FS, dir)
	if err != nil {
		return nil, err
	}
	for i, e := range entries {
		name := filepath.ToSlash(filepath.Join(dir, e.Name()))
		if e.Type()&fs.ModeSymlink == 0 || t.skip(name, false) {
			continue
		}
		info, err := os.Stat(t.real(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, badLink(fmt.Sprintf("the symlink %s points to nothing", name))
		case err != nil:
			return nil, badLink(fmt.Sprintf("the symlink %s cannot be followed: %v", name, cause(err)))
		}
		entries[i] = fs.FileInfoToDirEntry(info)
	}
	return entries, nil
}

func (t through) endless(dir string) error {
	end, err := filepath.EvalSymlinks(t.real(dir))
	if err != nil {
		return err
	}
	for above := dir; above != "."; {
		above = filepath.ToSlash(filepath.Dir(above))
		if passed, err := filepath.EvalSymlinks(t.real(above)); err == nil && passed == end {
			return badLink(fmt.Sprintf("the symlink %s leads back to the directory %s, which it is in", dir, above))
		}
	}
	return nil
}

func (t through) real(name string) string { return filepath.Join(t.root, filepath.FromSlash(name)) }

// badLink is a symlink that leads to nothing that can be published.
type badLink string

func (l badLink) Error() string { return string(l) }

// symlinks are the links of a directory that are not left out anyway.
func symlinks(dir string, skip archive.Skip) []string {
	var links []string
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type()&fs.ModeSymlink != 0 {
			if inTree, err := filepath.Rel(dir, name); err == nil && inTree != "." && !skip(filepath.ToSlash(inTree), false) {
				links = append(links, filepath.ToSlash(inTree))
			}
		}
		return nil
	})
	return links
}

// cause is an error of the system without the call and the path.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func codeOf(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrPermission):
		return NotAllowed
	default:
		return Negative
	}
}
