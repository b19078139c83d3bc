package cli

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/sluice-dev/sluice/internal/fleet"
)

// templates are the files of a new service. In their names NAME stands for the
// service, CLUSTER for an environment and CLUSTER_PATH for the directory that
// its cluster follows.
//
//go:embed all:new_service
var templates embed.FS

// skeleton is what the templates are filled with.
type skeleton struct {
	Name  string // of the service
	Image string
	URL   string // of its bundle
	Root  string // the source that the cluster follows the infra repository by
	// Of an environment:
	Cluster     string
	Prereleases bool

	clusters []fleet.Cluster
	known    bool // they come from a sluice.yaml
}

// file is one to be written.
type file struct {
	name string
	text []byte
}

func (m file) write() error {
	if err := os.MkdirAll(filepath.Dir(m.name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(m.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(m.text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (s skeleton) bundle() ([]file, error) { return s.fill("new_service/bundle") }

// infra fills what is made once, and what is made for each environment.
func (s skeleton) infra() ([]file, error) { return s.fill("new_service/infra") }

func (s skeleton) fill(root string) ([]file, error) {
	var files []file
	err := fs.WalkDir(templates, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := templates.ReadFile(p)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, root+"/")
		if !strings.Contains(name, "CLUSTER") {
			made, err := s.one(name, string(raw))
			files = append(files, made)
			return err
		}
		for i, c := range s.clusters {
			of := s
			of.Cluster, of.Prereleases = c.Name, i < len(s.clusters)-1
			made, err := of.one(strings.NewReplacer("CLUSTER_PATH", c.Path, "CLUSTER", c.Name).Replace(name), string(raw))
			if err != nil {
				return err
			}
			files = append(files, made)
		}
		return nil
	})
	return files, err
}

// one fills a template.
func (s skeleton) one(name, text string) (file, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return file{}, fmt.Errorf("filling %s: %w", name, err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, s)
	return file{strings.ReplaceAll(name, "NAME", s.Name), out.Bytes()}, err
}
