package archive

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// Modes says which permission bits an archive carries.
type Modes int

const (
	// KeepModes writes the bits of the tree: the layer that a push uploads
	// (fluxcd/pkg/tar/tar.go).
	KeepModes Modes = iota
	// NormalModes writes 0600, 0700 for executables and 0750 for directories:
	// the file that the artifact server hands out (fluxcd/pkg/artifact
	// storage/archive.go).
	NormalModes
)

// Skip tells whether an entry is left out. A directory that is left out does
// not hide what is below it: each entry is asked for by itself, as in Flux.
type Skip func(path string, dir bool) bool

// Write packs a file system as a gzipped tar that depends on nothing but
// names, content and modes: no owner, no time, walking order, Go's default
// compression. Symlinks and other special files are left out. For equal input
// the bytes are those that Flux's own packers write with the same Go version.
func Write(w io.Writer, fsys fs.FS, modes Modes, skip Skip) error {
	tree, _ := fsys.(*Tree)
	gz := gzip.NewWriter(w)
	tw := tar.NewWriter(gz)
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && !d.Type().IsRegular() {
			return nil
		}
		if p != "." && skip != nil && skip(p, d.IsDir()) || tree != nil && tree.nodes[p].leftOut {
			return nil
		}
		return writeEntry(tw, fsys, p, d, modes)
	})
	if err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	if err := gz.Close(); err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	return nil
}

func writeEntry(tw *tar.Writer, fsys fs.FS, p string, d fs.DirEntry, modes Modes) error {
	fi, err := d.Info()
	if err != nil {
		return err
	}
	header, err := tar.FileInfoHeader(fi, "")
	if err != nil {
		return err
	}
	header.Name = p // no trailing slash on directories, as Flux writes them
	header.Uid, header.Gid, header.Uname, header.Gname = 0, 0, "", ""
	header.ModTime, header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}, time.Time{}
	if modes == NormalModes {
		header.Mode = normalMode(fi.Mode())
	}
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	if fi.IsDir() {
		return nil
	}
	f, err := fsys.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(tw, f)
	return err
}

func normalMode(mode fs.FileMode) int64 {
	switch {
	case mode.IsDir():
		return 0o750
	case mode&0o111 != 0:
		return 0o700
	default:
		return 0o600
	}
}

// Load reads a file system into a Tree, leaving out what Write would leave
// out. It fails rather than hold more than the limits.
func Load(fsys fs.FS, skip Skip, limits Limits) (*Tree, error) {
	b := newBuilder()
	b.leftOut = true
	left, entries := limits.Bytes, 0
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == "." || !d.IsDir() && !d.Type().IsRegular() || skip != nil && skip(p, d.IsDir()) {
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if entries++; entries > limits.Entries {
			return fmt.Errorf("%w: more than %d entries", ErrTooLarge, limits.Entries)
		}
		if d.IsDir() {
			return b.dir(p, fi.Mode())
		}
		if left -= fi.Size(); left < 0 {
			return fmt.Errorf("%w: more than %d bytes at %q", ErrTooLarge, limits.Bytes, p)
		}
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		return b.file(p, fi.Mode(), data)
	})
	if err != nil {
		return nil, err
	}
	if root, err := fs.Stat(fsys, "."); err == nil {
		b.nodes["."].mode = fs.ModeDir | root.Mode()&modeBits
	}
	return b.tree(), nil
}
