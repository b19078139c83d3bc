package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/follow"
	"github.com/sluice-dev/sluice/internal/source/oci"
)

// registryFlags are shared by all verbs that talk to a registry; names are
// those of flux.
type registryFlags struct {
	creds    string
	provider string
	insecure bool
	timeout  time.Duration
}

func (f *registryFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.creds, "creds", "", "credentials as USER:PASSWORD; otherwise the docker configuration is used, with its helpers")
	c.Flags().StringVar(&f.provider, "provider", "generic", "where credentials come from; only generic is supported")
	c.Flags().BoolVar(&f.insecure, "insecure-registry", false, "allow plain HTTP and certificates that nobody vouches for")
	c.Flags().DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long the whole command may take")
	c.PreRunE = func(c *cobra.Command, _ []string) error { return f.check(c) }
}

func (f *registryFlags) check(c *cobra.Command) error {
	switch {
	case f.provider != "generic":
		return usage(c, fmt.Sprintf("--provider %s is not supported; log in with the provider's docker credential helper and use generic", f.provider))
	case f.timeout <= 0:
		return usage(c, fmt.Sprintf("--timeout %s: want a time above 0, for example 30s", f.timeout))
	}
	return nil
}

// open makes the client of a repository.
func (f *registryFlags) open(c *cobra.Command, std IO, repo artifact.Repository) (*oci.Client, error) {
	access := oci.Access{Repository: repo, Insecure: f.insecure}
	var err error
	if f.creds != "" {
		if access.Login, err = oci.UserPassword(f.creds); err != nil {
			return nil, usage(c, "--creds: "+err.Error())
		}
	} else if access.Login, err = oci.DockerLogin(); err != nil {
		return nil, noCredentials(repo.Host, err)
	}
	registries := oci.NewRegistries(oci.Options{UserAgent: "sluice/" + std.Version, Patient: true})
	return registries.Client(access)
}

// ask is how a command asks: now, and freshly.
func (f *registryFlags) ask() follow.Ask {
	return follow.Ask{NotBefore: time.Now(), Timeout: f.timeout, Now: true}
}

// reference reads the argument of a verb.
func reference(c *cobra.Command, text string) (artifact.Reference, error) {
	if host, _, _ := strings.Cut(strings.TrimPrefix(text, artifact.Scheme), "/"); strings.Contains(host, "@") {
		// Not quoted: it may hold a password.
		return artifact.Reference{}, usage(c, "credentials do not belong in the name of a repository; pass --creds USER:PASSWORD")
	}
	ref, err := artifact.ParseReference(text)
	if err != nil {
		return ref, usage(c, err.Error())
	}
	return ref, nil
}

// pinned gives what follows the repository in a request: the digest if there
// is one, else the tag, else latest.
func pinned(ref artifact.Reference) string {
	switch {
	case ref.Digest != "":
		return ref.Digest.String()
	case ref.Tag != "":
		return ref.Tag
	default:
		return "latest"
	}
}
