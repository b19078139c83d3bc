package build

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// root is where the bundle lies in kustomize's file system.
const root = "/bundle"

// view shows a bundle to kustomize without a copy. It is read-only; nothing
// lies outside of root, so that no path leads out of the bundle.
type view struct {
	fsys fs.FS
	// One file stands for what the bundle has in its place: the kustomization
	// file with what the Kustomization adds.
	file string
	data []byte
}

var errReadOnly = errors.New("the bundle is read-only")

// inside gives the path in the bundle; kustomize asks with absolute paths.
func inside(p string) (string, error) {
	p = path.Clean(p)
	switch {
	case p == root:
		return ".", nil
	case strings.HasPrefix(p, root+"/"):
		return p[len(root)+1:], nil
	}
	return "", &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
}

func (v view) stat(p string) (dir, found bool) {
	in, err := inside(p)
	if err != nil {
		return false, false
	}
	if v.data != nil && in == v.file {
		return false, true
	}
	info, err := fs.Stat(v.fsys, in)
	return err == nil && info.IsDir(), err == nil
}

func (v view) ReadFile(p string) ([]byte, error) {
	in, err := inside(p)
	if err != nil {
		return nil, err
	}
	if v.data != nil && in == v.file {
		return v.data, nil
	}
	if v.IsDir(p) {
		return nil, fmt.Errorf("cannot read content from non-file '%s'", p)
	}
	return fs.ReadFile(v.fsys, in)
}

func (v view) IsDir(p string) bool {
	dir, _ := v.stat(p)
	return dir
}

func (v view) Exists(p string) bool {
	_, found := v.stat(p)
	return found
}

func (v view) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	dir, found := v.stat(p)
	p = path.Clean(p)
	switch {
	case !found:
		return "", "", fmt.Errorf("'%s' doesn't exist", p)
	case dir:
		return filesys.ConfirmedDir(p), "", nil
	}
	return filesys.ConfirmedDir(path.Dir(p)), path.Base(p), nil
}

func (v view) ReadDir(p string) ([]string, error) {
	in, err := inside(p)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(v.fsys, in)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (v view) Glob(pattern string) ([]string, error) {
	in, err := inside(pattern)
	if err != nil {
		return nil, nil
	}
	found, err := fs.Glob(v.fsys, in)
	for i := range found {
		found[i] = path.Join(root, found[i])
	}
	return found, err
}

func (view) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (view) Open(string) (filesys.File, error)    { return nil, errReadOnly }
func (view) Mkdir(string) error                   { return errReadOnly }
func (view) MkdirAll(string) error                { return errReadOnly }
func (view) RemoveAll(string) error               { return errReadOnly }
func (view) WriteFile(string, []byte) error       { return errReadOnly }
func (view) Walk(string, filepath.WalkFunc) error { return errReadOnly }
