package wire

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/controller"
	"github.com/sluice-dev/sluice/internal/follow"
	"github.com/sluice-dev/sluice/internal/hint"
	"github.com/sluice-dev/sluice/internal/source/oci"
)

// sources adds the controller of OCIRepository objects.
func (p *process) sources(ctx context.Context) error {
	registries := oci.NewRegistries(oci.Options{UserAgent: "sluice/" + p.Version, MinRetry: p.MinRetry, MaxRetry: p.MaxRetry})
	sources := &controller.OCIRepositories{
		Client: p.mgr.GetClient(), Live: p.mgr.GetAPIReader(), Shard: p.shard,
		Registry: registries, Shelf: p.shelf, Teller: p.teller(sourceController),
		Follower: &follow.Follower{
			Limits:    archive.Limits{Bytes: p.MaxArtifact, Entries: archive.DefaultLimits.Entries},
			Unpacking: make(chan struct{}, 2),
		},
		Timing: controller.Timing{
			Spread: float64(p.JitterPercent) / 100, Retry: follow.Backoff{Min: p.MinRetry, Max: p.MaxRetry}, AllowDowngrade: p.AllowDowngrade,
		},
		Metrics: runMetrics{},
		Log:     p.Log,
	}
	if err := sources.Setup(ctx, p.mgr, p.Concurrent); err != nil {
		return fmt.Errorf("setting up the controller of OCIRepository objects: %w", err)
	}
	hints := hint.NewHandler(ctx, p.HookToken, hint.WakerFunc(func(ctx context.Context, repo artifact.Repository) {
		wake(ctx, p.Log, registries, sources, repo)
	}))
	return serve(p.mgr, p.listeners.hook, hints)
}

// wake turns a hint into fresh looks: what was learned of the repository is
// too old now, and its sources run.
func wake(ctx context.Context, log *slog.Logger, registries *oci.Registries, sources *controller.OCIRepositories, repo artifact.Repository) {
	// A registry is often reached under another name than the one it knows for
	// itself; a hint too many costs one request.
	matches := func(r artifact.Repository) bool { return r.Path == repo.Path }
	registries.Hint(matches)
	woken, err := sources.Hint(ctx, matches)
	if err != nil {
		log.Error("a hint wakes nobody: listing the sources failed", "repository", repo.String(), "error", err)
		return
	}
	log.Debug("hint", "repository", repo.String(), "sources", woken)
}
