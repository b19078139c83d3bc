package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/sluice-dev/sluice/internal/archive"
)

// stdinName is what a bundle from stdin holds.
const stdinName = "manifests.yaml"

// readBundle reads a directory, a file or, for "-", a stream into a tree.
func readBundle(name string, stdin io.Reader, skip archive.Skip, resolve bool) (*archive.Tree, error) {
	if name == "-" {
		data, err := io.ReadAll(io.LimitReader(stdin, archive.DefaultLimits.Bytes))
		if err != nil {
			return nil, err
		}
		return archive.NewTree([]archive.File{{Path: stdinName, Mode: 0o644, Data: data}})
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return archive.NewTree([]archive.File{{Path: filepath.Base(name), Mode: info.Mode(), Data: data}})
	}
	if !resolve {
		return archive.Load(os.DirFS(name), skip, archive.DefaultLimits)
	}
	var files []archive.File
	if err := readThrough(name, ".", nil, &files); err != nil {
		return nil, err
	}
	tree, err := archive.NewTree(files)
	if err != nil {
		return nil, err
	}
	return archive.Load(tree, skip, archive.DefaultLimits)
}

// readThrough reads a directory with everything that its symlinks lead to. above
// holds the real paths of the directories it is in: a link back to one of them
// would never end.
func readThrough(dir, at string, above []string, files *[]archive.File) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for _, a := range above {
		if a == real {
			return fmt.Errorf("the symlink %s leads back to a directory that it is in", dir)
		}
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, inTree := filepath.Join(dir, e.Name()), path.Join(at, e.Name())
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		switch {
		case info.IsDir():
			if err := readThrough(name, inTree, append(above[:len(above):len(above)], real), files); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			*files = append(*files, archive.File{Path: inTree, Mode: info.Mode(), Data: data})
		}
	}
	return nil
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
