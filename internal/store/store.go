package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// Options of a Store.
type Options struct {
	// Address under which consumers reach the server: "host", "host:port", or
	// with a scheme. http unless told.
	Address string
	// KeepFor and KeepRecords bound what is kept of a source's older
	// artifacts: Flux's --artifact-retention-ttl and -records.
	KeepFor     time.Duration
	KeepRecords int
}

// Store is a directory of artifacts. Open it once per directory and process.
type Store struct {
	root    string
	options Options

	mu       sync.Mutex
	verified map[string]fingerprint // files whose content was hashed by this process
	loading  map[digest.Digest]*download
}

// fingerprint tells one state of a file from another without reading it.
type fingerprint struct {
	size    int64
	changed time.Time
	digest  digest.Digest
}

const content = ".content"

// Open prepares a directory. Half-written files of a killed process are
// removed; everything else found there is used.
func Open(root string, options Options) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	for _, dir := range []string{"layers", "archives", "partial"} {
		if err := os.MkdirAll(filepath.Join(root, content, dir), 0o750); err != nil {
			return nil, fmt.Errorf("opening the store: %w", err)
		}
	}
	s := &Store{root: root, options: options, verified: map[string]fingerprint{}, loading: map[digest.Digest]*download{}}
	partial := filepath.Join(root, content, "partial")
	leftovers, err := os.ReadDir(partial)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	for _, e := range leftovers {
		if err := os.Remove(filepath.Join(partial, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("opening the store: %w", err)
		}
	}
	return s, nil
}

// write streams into a temporary file that keep moves into place; the file
// appears whole or not at all.
func (s *Store) write(fill func(io.Writer) error, keep func(temp string) error) error {
	f, err := os.CreateTemp(filepath.Join(s.root, content, "partial"), "*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if it was moved
	if err := fill(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return keep(f.Name())
}

// sound tells whether the file at path has the digest. It is read only if it
// is not the file that was read before.
func (s *Store) sound(path string, want digest.Digest) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now := fingerprint{size: info.Size(), changed: info.ModTime(), digest: want}
	s.mu.Lock()
	known := s.verified[path] == now
	s.mu.Unlock()
	if known {
		return true, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	verifier := want.Verifier()
	if _, err := io.Copy(verifier, f); err != nil {
		return false, err
	}
	if !verifier.Verified() {
		return false, nil
	}
	s.remember(path, now)
	return true, nil
}

func (s *Store) remember(path string, state fingerprint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verified[path] = state
}

func (s *Store) forget(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.verified, path)
}

// rememberWritten records a file that was hashed while it was written.
func (s *Store) rememberWritten(path string, d digest.Digest) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	s.remember(path, fingerprint{size: info.Size(), changed: info.ModTime(), digest: d})
	return nil
}

func (s *Store) layerPath(d digest.Digest) string {
	return filepath.Join(s.root, content, "layers", string(d.Algorithm()), d.Encoded())
}

func (s *Store) archivePath(d digest.Digest) string {
	return filepath.Join(s.root, content, "archives", d.Encoded())
}

// URL is where consumers find a path below the storage directory.
func (s *Store) URL(path string) string {
	address := s.options.Address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	return strings.TrimSuffix(address, "/") + "/" + path
}

// hashing counts and hashes what passes through.
type hashing struct {
	w    io.Writer
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	size int64
}

func newHashing(w io.Writer) *hashing { return &hashing{w: w, hash: sha256.New()} }

func (h *hashing) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.hash.Write(p[:n])
	h.size += int64(n)
	return n, err
}

func (h *hashing) digest() digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(h.hash.Sum(nil)))
}
