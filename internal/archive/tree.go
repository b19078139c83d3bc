package archive

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Tree is an immutable file tree in memory. It is a complete fs.FS; its files
// have no times, because times are no part of content.
type Tree struct {
	nodes map[string]*node // by slash path; "." is the root
	bytes int64
}

type node struct {
	name     string // base name
	mode     fs.FileMode
	data     []byte
	children []fs.DirEntry // sorted by name; directories only
	leftOut  bool          // a directory that Load skipped, here for what is below it
}

// File is one file to put into a Tree.
type File struct {
	Path string      // slash path relative to the root, as fs.ValidPath wants it
	Mode fs.FileMode // permission bits
	Data []byte      // kept, not copied: the caller gives it away
}

const (
	filePerm fs.FileMode = 0o644
	dirPerm  fs.FileMode = 0o755

	// modeBits are the bits that a tar header has room for beside the type.
	modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
)

// NewTree builds a tree of files; directories come into being as needed. The
// last of two files with one path wins but keeps the mode of the first, as when
// Flux extracts a tar.
func NewTree(files []File) (*Tree, error) {
	b := newBuilder()
	for _, f := range files {
		if err := b.file(f.Path, f.Mode.Perm(), f.Data); err != nil {
			return nil, err
		}
	}
	return b.tree(), nil
}

// Bytes is the sum of the sizes of all files.
func (t *Tree) Bytes() int64 { return t.bytes }

// Files lists the paths of all regular files, in walking order.
func (t *Tree) Files() []string {
	var files []string
	_ = fs.WalkDir(t, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, p)
		}
		return err
	})
	return files
}

// With returns a new tree in which the file at p has the given content; it
// keeps its mode if it exists. The receiver is not changed.
func (t *Tree) With(p string, data []byte) (*Tree, error) {
	b := newBuilder()
	for name, n := range t.nodes {
		if n.mode.IsDir() {
			b.nodes[name] = &node{name: n.name, mode: n.mode, leftOut: n.leftOut}
		} else if err := b.file(name, n.mode, n.data); err != nil {
			return nil, err
		}
	}
	mode := filePerm
	if old, found := t.nodes[p]; found {
		mode = old.mode
	}
	if err := b.file(p, mode, data); err != nil {
		return nil, err
	}
	return b.tree(), nil
}

// Open implements fs.FS.
func (t *Tree) Open(name string) (fs.File, error) {
	n, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	return &openFile{node: n, path: name, Reader: bytes.NewReader(n.data)}, nil
}

// ReadFile implements fs.ReadFileFS. The caller owns the copy.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	n, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if n.mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("is a directory")}
	}
	return bytes.Clone(n.data), nil
}

// ReadDir implements fs.ReadDirFS.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fmt.Errorf("is not a directory")}
	}
	return slices.Clone(n.children), nil
}

// Stat implements fs.StatFS.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	n, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info{n}, nil
}

func (t *Tree) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n, found := t.nodes[name]
	if !found {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return n, nil
}

// builder is the only thing that may change nodes; tree() seals them.
type builder struct {
	nodes   map[string]*node
	leftOut bool // that a directory was not given means that it was skipped
}

func newBuilder() *builder {
	return &builder{nodes: map[string]*node{".": {name: ".", mode: fs.ModeDir | dirPerm}}}
}

func (b *builder) dir(p string, mode fs.FileMode) error {
	if old, found := b.nodes[p]; found && !old.mode.IsDir() {
		return fmt.Errorf("%q is both a file and a directory", p)
	}
	if err := b.parents(p); err != nil {
		return err
	}
	b.nodes[p] = &node{name: path.Base(p), mode: fs.ModeDir | mode&modeBits}
	return nil
}

func (b *builder) file(p string, mode fs.FileMode, data []byte) error {
	if !fs.ValidPath(p) || p == "." {
		return fmt.Errorf("%q is no path of a file inside the tree", p)
	}
	if old, found := b.nodes[p]; found {
		if old.mode.IsDir() {
			return fmt.Errorf("%q is both a directory and a file", p)
		}
		mode = old.mode
	}
	if err := b.parents(p); err != nil {
		return err
	}
	b.nodes[p] = &node{name: path.Base(p), mode: mode & modeBits, data: data}
	return nil
}

func (b *builder) parents(p string) error {
	for dir := path.Dir(p); ; dir = path.Dir(dir) {
		if n, found := b.nodes[dir]; found {
			if n.mode.IsDir() {
				return nil
			}
			return fmt.Errorf("%q is a file, so %q cannot be below it", dir, p)
		}
		b.nodes[dir] = &node{name: path.Base(dir), mode: fs.ModeDir | dirPerm, leftOut: b.leftOut}
	}
}

func (b *builder) tree() *Tree {
	t := &Tree{nodes: b.nodes}
	for p, n := range b.nodes {
		t.bytes += int64(len(n.data))
		if p != "." {
			parent := b.nodes[path.Dir(p)]
			parent.children = append(parent.children, fs.FileInfoToDirEntry(info{n}))
		}
	}
	for _, n := range b.nodes {
		slices.SortFunc(n.children, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
	}
	b.nodes = nil
	return t
}

type info struct{ n *node }

func (i info) Name() string       { return i.n.name }
func (i info) Size() int64        { return int64(len(i.n.data)) }
func (i info) Mode() fs.FileMode  { return i.n.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.n.mode.IsDir() }
func (i info) Sys() any           { return nil }

type openFile struct {
	*bytes.Reader
	node *node
	path string
	read int // children already handed out
}

func (f *openFile) Stat() (fs.FileInfo, error) { return info{f.node}, nil }
func (f *openFile) Close() error               { return nil }

func (f *openFile) Read(p []byte) (int, error) {
	if f.node.mode.IsDir() {
		return 0, &fs.PathError{Op: "read", Path: f.path, Err: fmt.Errorf("is a directory")}
	}
	return f.Reader.Read(p)
}

func (f *openFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.node.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: f.path, Err: fmt.Errorf("is not a directory")}
	}
	rest := f.node.children[f.read:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	f.read += len(rest)
	return slices.Clone(rest), nil
}
