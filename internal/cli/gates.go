package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-dev/sluice/internal/wire"
)

// gates of Flux's controllers. Those without an effect here are accepted, so
// that existing command lines work.
func gate(g *wire.Gates, name string) (effect *bool, known bool) {
	switch name {
	case "StrictPostBuildSubstitutions":
		return &g.Strict, true
	case "AdditiveCELDependencyCheck":
		return &g.Additive, true
	case "CancelHealthCheckOnNewRevision":
		return &g.Supersede, true
	case "DisableFailFastBehavior":
		return &g.NoFailFast, true
	case "ExternalArtifact":
		return &g.ExternalArtifacts, true
	case "MigrateAPIVersion":
		return &g.MigrateAPIVersion, true
	case "DisableConfigWatchers":
		return &g.NoConfigWatchers, true
	case "DisableCommitStatusEvent":
		return &g.NoSuccessEvents, true
	}
	return nil, slices.Contains([]string{
		"CacheSecretsAndConfigMaps", "DisableStatusPollerCache", "GroupChangeLog", "DirectSourceFetch",
		"ObjectLevelWorkloadIdentity",
	}, name)
}

// setGates reads the value of --feature-gates: Name=true,Other=false.
func setGates(g *wire.Gates, texts []string) error {
	for _, text := range texts {
		name, value, found := strings.Cut(text, "=")
		on, err := strconv.ParseBool(value)
		if !found || err != nil {
			return fmt.Errorf("--feature-gates: %q is not Name=true or Name=false", text)
		}
		effect, known := gate(g, name)
		if !known {
			return fmt.Errorf("--feature-gates: there is no gate %q", name)
		}
		if effect != nil {
			*effect = on
		}
	}
	return nil
}
