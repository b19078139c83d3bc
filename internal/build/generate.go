package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// KustomizationFile finds the kustomization file of a directory, under any of
// the names that kustomize knows; fs.ErrNotExist says that there is none.
func KustomizationFile(fsys fs.FS, dir string) (string, error) {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file := path.Join(dir, name)
		info, err := fs.Stat(fsys, file)
		if err == nil && !info.IsDir() {
			return file, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", &fs.PathError{Op: "find kustomization.yaml in", Path: dir, Err: fs.ErrNotExist}
}

// generate makes the kustomization that a directory without one is built by:
// every YAML file below it, and each subdirectory that has one of its own as a
// whole, in walking order (fluxcd/pkg/kustomize/kustomize_generator.go
// scanManifests). That the files hold objects is for kustomize to see.
func generate(fsys fs.FS, dir string) (types.Kustomization, error) {
	k := types.Kustomization{TypeMeta: kustomizationMeta}
	err := fs.WalkDir(fsys, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		relative := p
		if dir != "." {
			relative = p[len(dir)+1:]
		}
		if d.IsDir() {
			if _, err := KustomizationFile(fsys, p); err == nil {
				k.Resources = append(k.Resources, relative)
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(p); ext == ".yaml" || ext == ".yml" {
			k.Resources = append(k.Resources, relative)
		}
		return nil
	})
	if len(k.Resources) == 0 {
		// kustomize refuses an empty file; with a namespace it builds nothing.
		k.Namespace = "_placeholder"
	}
	return k, err
}

var kustomizationMeta = types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind}

// blame says which file of a generated kustomization is no YAML, in place of
// what kustomize said: it names the file by its place below the directory.
func blame(fsys fs.FS, dir string, files []string, err error) error {
	for _, name := range files {
		file := path.Join(dir, name)
		raw, unread := fs.ReadFile(fsys, file)
		if unread != nil {
			continue // a directory
		}
		for decoder := kyaml.NewDecoder(bytes.NewReader(raw)); ; {
			bad := decoder.Decode(&kyaml.Node{})
			if errors.Is(bad, io.EOF) {
				break
			}
			if bad != nil {
				return fmt.Errorf("%s is no YAML: %w", file, bad)
			}
		}
	}
	return err
}
