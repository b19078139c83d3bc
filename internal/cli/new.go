package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/fleet"
)

func newNew(std IO) *cobra.Command {
	c := &cobra.Command{
		Use:   "new",
		Short: "Write the files that something new needs",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return usage(c, "new needs to know what: service")
		},
	}
	c.AddCommand(newService(std))
	return c
}

type serviceFlags struct {
	infra, bundle string
	image         string
}

func newService(std IO) *cobra.Command {
	var f serviceFlags
	c := &cobra.Command{
		Use:   "service NAME",
		Short: "Write what a new service needs in an infra repository, and its first bundle",
		Long: `Write what a new service needs: in the infra repository --infra a base with the
source and its Kustomization, an overlay for each environment, and one object for
each cluster; in the service's own repository --bundle the directory config, which
is what it publishes.

The environments are the clusters of the infra repository's sluice.yaml, or
staging and production if it has none. The last of them takes stable releases
only; the others take pre-releases that are tagged for them.

Nothing is ever overwritten: if one of the files is there already, none is
written.`,
		Example: `  sluice new service payments --infra ../infra --bundle .`,
		Args:    oneArg("NAME of the service"),
		RunE:    func(c *cobra.Command, args []string) error { return f.run(c, std, args[0]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.infra, "infra", "", "directory of the infra repository")
	flags.StringVar(&f.bundle, "bundle", "", "directory of the service's repository; config/ is made in it")
	flags.StringVar(&f.image, "image", "", "name of the service's image, without a tag; ghcr.io/ORG/NAME unless given")
	return c
}

var serviceName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,50}[a-z0-9])?$`)

func (f *serviceFlags) run(c *cobra.Command, std IO, name string) error {
	switch {
	case !serviceName.MatchString(name):
		return usage(c, fmt.Sprintf("%q is no name for a service: lower-case letters, digits and dashes", name))
	case f.infra == "" && f.bundle == "":
		return usage(c, "say where: --infra, --bundle or both")
	}
	about, err := f.about(name)
	if err != nil {
		return err
	}
	var files []file
	for _, part := range []struct {
		dir  string
		fill func() ([]file, error)
	}{{f.infra, about.infra}, {f.bundle, about.bundle}} {
		if part.dir == "" {
			continue
		}
		made, err := part.fill()
		if err != nil {
			return err
		}
		for _, m := range made {
			files = append(files, file{filepath.Join(part.dir, filepath.FromSlash(m.name)), m.text})
		}
	}
	if err := writeNew(files); err != nil {
		return err
	}
	for _, m := range files {
		fmt.Fprintln(std.Out, m.name)
	}
	f.next(std, about)
	return nil
}

// about collects what the files are filled with.
func (f *serviceFlags) about(name string) (skeleton, error) {
	s := skeleton{Name: name, Root: "infra", URL: "oci://${REGISTRY}/" + name + "-kustomize", Image: f.image}
	s.clusters = []fleet.Cluster{{Name: "staging", Path: "clusters/staging"}, {Name: "production", Path: "clusters/production"}}
	if f.infra != "" {
		raw, err := os.ReadFile(filepath.Join(f.infra, fleet.File))
		switch {
		case err == nil:
			known, err := fleet.Parse(raw)
			if err != nil {
				return s, &Problem{Code: Negative, What: "reading " + filepath.Join(f.infra, fleet.File) + " failed", Why: err, Next: "nothing is written", Do: []string{"mend the file"}}
			}
			s.clusters, s.known = known.Clusters, true
			s.Root = path.Base(known.Repository.URL)
			s.URL = path.Dir(strings.TrimPrefix(known.Repository.URL, "oci://"))
			s.URL = "oci://" + s.URL + "/" + name + "-kustomize"
		case !errors.Is(err, fs.ErrNotExist):
			return s, &Problem{Code: codeOf(err), What: "reading " + filepath.Join(f.infra, fleet.File) + " failed", Why: err, Next: "nothing is written"}
		}
	}
	if s.Image == "" {
		s.Image = "ghcr.io/" + strings.TrimPrefix(path.Join(path.Base(path.Dir(s.URL)), name), "${REGISTRY}/")
	}
	return s, nil
}

// writeNew writes all files, or none if one of them is there.
func writeNew(files []file) error {
	for _, m := range files {
		if _, err := os.Lstat(m.name); err == nil {
			return &Problem{
				Code: Conflict, What: m.name + " is there already", Next: "nothing is written",
				Do: []string{"choose another name", "remove what is there"},
			}
		}
	}
	for _, m := range files {
		if err := m.write(); err != nil {
			return &Problem{Code: codeOf(err), What: "writing " + m.name + " failed", Why: err}
		}
	}
	return nil
}

// next says what is left to do by hand.
func (f *serviceFlags) next(std IO, s skeleton) {
	if f.infra != "" && s.known {
		made := "DIRECTORY OF THE BUNDLE"
		if rel, err := filepath.Rel(f.infra, filepath.Join(f.bundle, "config")); err == nil && f.bundle != "" {
			made = filepath.ToSlash(rel)
		}
		fmt.Fprintf(std.Err, "add to the sources of %s, so that sluice finds the bundle:\n- url: %s\n  path: %s\n", filepath.Join(f.infra, fleet.File), s.URL, made)
	}
	if f.bundle != "" {
		fmt.Fprintf(std.Err, "publish a release with:\n  sluice push %s:v1.0.0 --path %s --set-image %s=:v1.0.0 --in base --check base\n",
			fleet.Expand(s.URL, map[string]string{registryVariable: "REGISTRY"}), filepath.Join(f.bundle, "config"), s.Image)
	}
}
