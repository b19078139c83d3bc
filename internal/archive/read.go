package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Limits bound what Read takes from an untrusted stream.
type Limits struct {
	Bytes   int64 // unpacked size of all files together
	Entries int   // number of tar entries
}

// DefaultLimits hold for any bundle seen in the wild many times over, and stop
// a compression bomb before it fills the memory.
var DefaultLimits = Limits{Bytes: 256 << 20, Entries: 100_000}

// ErrTooLarge says that a stream exceeds its Limits.
var ErrTooLarge = errors.New("archive is too large")

// Read unpacks a gzipped tar into a Tree. The rules for entries are those of
// fluxcd/pkg/tar (untar.go) with symlinks skipped, as source-controller calls
// it; beyond them, names are compared after cleaning, so that no spelling of a
// path outside the root passes.
func Read(r io.Reader, limits Limits) (*Tree, error) {
	gz, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("content is no gzipped tar: %w", err)
	}
	defer gz.Close()
	tr := tar.NewReader(gz)
	b := newBuilder()
	left := limits.Bytes
	for entries := 0; ; entries++ {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if err := gz.Close(); err != nil { // what follows the last entry is cut off
				return nil, fmt.Errorf("reading tar: %w", err)
			}
			return b.tree(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading tar: %w", err)
		}
		if entries >= limits.Entries {
			return nil, fmt.Errorf("%w: more than %d entries", ErrTooLarge, limits.Entries)
		}
		if left, err = readEntry(b, tr, header, left, limits.Bytes); err != nil {
			return nil, err
		}
	}
}

func readEntry(b *builder, tr *tar.Reader, header *tar.Header, left, limit int64) (int64, error) {
	name, err := safeName(header.Name)
	if err != nil {
		return left, err
	}
	mode := header.FileInfo().Mode()
	switch {
	case header.Typeflag == tar.TypeLink: // looks regular to FileInfo; Flux extracts an empty file
		return left, fmt.Errorf("unsafe tar entry %q: a hard link to %q is neither file nor directory", header.Name, header.Linkname)
	case mode.IsDir():
		if name == "." {
			return left, nil
		}
		return left, b.dir(name, mode.Perm())
	case mode.IsRegular():
		if header.Size > left {
			return left, fmt.Errorf("%w: more than %d bytes at entry %q", ErrTooLarge, limit, header.Name)
		}
		data, err := io.ReadAll(io.LimitReader(tr, left+1))
		if err != nil {
			return left, fmt.Errorf("reading tar entry %q: %w", header.Name, err)
		}
		return left - int64(len(data)), b.file(name, mode.Perm(), data)
	case mode&fs.ModeSymlink != 0:
		return left, nil // dropped, as Flux does; what it pointed to is not
	default:
		return left, fmt.Errorf("unsafe tar entry %q: a %s is neither file nor directory", header.Name, kindOf(header.Typeflag))
	}
}

// safeName cleans an entry name and refuses whatever could leave the root.
func safeName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("unsafe tar entry: its name is empty")
	case strings.HasPrefix(name, "/"):
		return "", fmt.Errorf("unsafe tar entry %q: an absolute path", name)
	case strings.ContainsAny(name, "\\\x00"):
		return "", fmt.Errorf("unsafe tar entry %q: a backslash or NUL in the name", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("unsafe tar entry %q: it leaves the archive", name)
		}
	}
	clean := path.Clean(name)
	if !fs.ValidPath(clean) {
		return "", fmt.Errorf("unsafe tar entry %q: the name is not valid UTF-8", name)
	}
	return clean, nil
}

func kindOf(typeflag byte) string {
	switch typeflag {
	case tar.TypeChar, tar.TypeBlock:
		return "device"
	case tar.TypeFifo:
		return "named pipe"
	default:
		return fmt.Sprintf("entry of type %q", typeflag)
	}
}
