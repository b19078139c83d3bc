// Command gen copies the custom resource definitions out of Flux's controller
// modules into the directory it is run in. It is run by `go generate`.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// modules are the releases whose API we serve; keep them in step with the api
// modules in go.mod.
var modules = []string{
	"github.com/fluxcd/source-controller@v1.9.6",
	"github.com/fluxcd/kustomize-controller@v1.9.6",
}

func main() {
	for _, module := range modules {
		if err := copyFrom(module); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func copyFrom(module string) error {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	if err != nil {
		return fmt.Errorf("downloading %s: %w", module, err)
	}
	var at struct{ Dir string }
	if err := json.Unmarshal(out, &at); err != nil {
		return fmt.Errorf("downloading %s: %w", module, err)
	}
	found, err := filepath.Glob(filepath.Join(at.Dir, "config", "crd", "bases", "*.yaml"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("%s has no config/crd/bases/*.yaml (%v)", module, err)
	}
	for _, path := range found {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Base(path), raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}
