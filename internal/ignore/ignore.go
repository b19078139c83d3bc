// Package ignore decides which files of a tree belong to an artifact, by the
// gitignore-like rules of Flux.
//
// In: a tree and the rules of a spec or a command line. Out: an archive.Skip.
// It never changes the tree and has no rules of its own: the matching is
// fluxcd/pkg/sourceignore's.
package ignore

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"

	"github.com/sluice-dev/sluice/internal/archive"
)

// PushDefaults are the rules of `flux push artifact` when none are given
// (flux2 cmd/flux/push_artifact.go).
const PushDefaults = sourceignore.ExcludeVCS + "," + sourceignore.ExcludeExt

// ForSource gives the rules of a source object: the .sourceignore files of the
// tree, then spec.ignore, which wins. If either says anything the built-in
// rules shrink to those for version control; otherwise all built-in rules hold
// (fluxcd/pkg/artifact storage/archive.go SourceIgnoreFilter).
func ForSource(tree fs.FS, spec *string) (archive.Skip, error) {
	patterns, err := load(tree, ".", nil)
	if err != nil {
		return nil, fmt.Errorf("reading %s files: %w", sourceignore.IgnoreFile, err)
	}
	if spec != nil {
		patterns = append(patterns, sourceignore.ReadPatterns(strings.NewReader(*spec), nil)...)
	}
	if len(patterns) == 0 {
		return matching(sourceignore.NewDefaultMatcher(nil, nil)), nil
	}
	return matching(sourceignore.NewMatcher(append(sourceignore.VCSPatterns(nil), patterns...))), nil
}

// ForPush gives the rules of a push: one pattern per element or comma.
func ForPush(patterns []string) archive.Skip {
	lines := strings.ReplaceAll(strings.Join(patterns, "\n"), ",", "\n")
	return matching(sourceignore.NewMatcher(sourceignore.ReadPatterns(strings.NewReader(lines), nil)))
}

func matching(m gitignore.Matcher) archive.Skip {
	return func(p string, dir bool) bool { return m.Match(strings.Split(p, "/"), dir) }
}

// load collects the patterns of every directory, each bound to its directory,
// parents first. Same order as sourceignore.LoadIgnorePatterns, which only
// reads from disk.
func load(tree fs.FS, dir string, domain []string) ([]gitignore.Pattern, error) {
	entries, err := fs.ReadDir(tree, dir)
	if err != nil {
		return nil, err
	}
	var patterns []gitignore.Pattern
	if slices.ContainsFunc(entries, isIgnoreFile) {
		file, err := fs.ReadFile(tree, path.Join(dir, sourceignore.IgnoreFile))
		if err != nil {
			return nil, err
		}
		patterns = sourceignore.ReadPatterns(bytes.NewReader(file), domain)
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == ".git" {
			continue
		}
		below, err := load(tree, path.Join(dir, e.Name()), append(domain[:len(domain):len(domain)], e.Name()))
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, below...)
	}
	return patterns, nil
}

// isIgnoreFile: a directory of that name says nothing and is no error, as in Flux.
func isIgnoreFile(e fs.DirEntry) bool { return e.Name() == sourceignore.IgnoreFile && !e.IsDir() }
