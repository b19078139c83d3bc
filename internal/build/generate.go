package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
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

// generate makes the kustomization.yaml that a directory without one is built
// by: every YAML file below it, and each subdirectory that has one of its own
// as a whole (fluxcd/pkg/kustomize/kustomize_generator.go scanManifests).
func generate(fsys fs.FS, dir string) ([]byte, error) {
	k := types.Kustomization{TypeMeta: types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind}}
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
		if ext := path.Ext(p); ext != ".yaml" && ext != ".yml" {
			return nil
		}
		if err := decodes(fsys, p); err != nil {
			return err
		}
		k.Resources = append(k.Resources, relative)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(k.Resources) == 0 {
		// kustomize refuses an empty file; with a namespace it builds nothing.
		k.Namespace = "_placeholder"
	}
	slices.Sort(k.Resources)
	return yaml.Marshal(k)
}

// decodes checks that every document of a file is a Kubernetes object.
func decodes(fsys fs.FS, file string) error {
	raw, err := fs.ReadFile(fsys, file)
	if err != nil {
		return err
	}
	decoder := kyaml.NewDecoder(bytes.NewReader(raw))
	for {
		var doc struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
		}
		err := decoder.Decode(&doc)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s is no YAML: %w", file, err)
		}
	}
}
