package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/wire"
)

type controllerFlags struct {
	wire.Options
	kubeconfig    string
	qps           float32
	burst         int
	hookTokenFile string
	digestAlgo    string
	logLevel      string
	logEncoding   string
	lifeline      bool
	gates         []string
	memory        string
	eventLog      string
}

func newController(std IO) *cobra.Command {
	var f controllerFlags
	or := func(name, otherwise string) string {
		if value := std.Getenv(name); value != "" {
			return value
		}
		return otherwise
	}
	c := &cobra.Command{
		Use:   "controller",
		Short: "Reconcile the objects of a cluster",
		Long: `Reconcile the objects of a cluster until told to stop.

Flags that Flux's controllers have too mean the same here, and the environment
variables RUNTIME_NAMESPACE, STORAGE_PATH, STORAGE_ADDRESS, STORAGE_ADV_ADDR,
METRICS_ADDR and EVENTS_ADDR are read as they do. HOOK_TOKEN is the token of
--hook-addr if --hook-token-file is not given.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, std) },
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.Controllers, "controllers", wire.Kinds, "what this process reconciles")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig to connect with; otherwise KUBECONFIG, or the service account of the pod")
	flags.Float32Var(&f.qps, "kube-api-qps", 50, "requests a second to an API server without API Priority and Fairness")
	flags.IntVar(&f.burst, "kube-api-burst", 300, "requests to the API server that may exceed --kube-api-qps for a moment")
	flags.BoolVar(&f.AllNamespace, "watch-all-namespaces", true, "reconcile objects of all namespaces, not only RUNTIME_NAMESPACE")
	flags.StringVar(&f.Selector, "watch-label-selector", "", "reconcile only objects with these labels, for example sharding.fluxcd.io/key=sluice")
	flags.IntVar(&f.Concurrent, "concurrent", 4, "objects whose status is worked on at the same time; runs that talk to a registry are not bounded by it")
	flags.StringVar(&f.StoragePath, "storage-path", or("STORAGE_PATH", "/data"), "directory of the artifacts")
	flags.StringVar(&f.StorageAddr, "storage-addr", or("STORAGE_ADDRESS", ":9090"), "address the artifact server listens on")
	flags.StringVar(&f.StorageAdvAddr, "storage-adv-addr", or("STORAGE_ADV_ADDR", ""), "address under which consumers reach the artifact server")
	flags.DurationVar(&f.RetentionTTL, "artifact-retention-ttl", time.Minute, "how long older artifacts of a source are kept at least")
	flags.IntVar(&f.RetentionRecords, "artifact-retention-records", 2, "how many artifacts of a source are kept at least")
	flags.StringVar(&f.digestAlgo, "artifact-digest-algo", "sha256", "algorithm of artifact digests; only sha256 is supported")
	flags.Int64Var(&f.MaxArtifact, "artifact-max-size", archive.DefaultLimits.Bytes, "bytes that an artifact may have unpacked")
	flags.StringVar(&f.MetricsAddr, "metrics-addr", or("METRICS_ADDR", ":8080"), "address of the metrics endpoint; 0 turns it off")
	flags.StringVar(&f.HealthAddr, "health-addr", ":9440", "address of the health endpoints; 0 turns them off")
	flags.StringVar(&f.EventsAddr, "events-addr", or("EVENTS_ADDR", ""), "URL of notification-controller's event receiver")
	flags.StringVar(&f.HookAddr, "hook-addr", "", "address for webhooks of registries; a push is then seen at once, whatever the interval")
	flags.StringVar(&f.hookTokenFile, "hook-token-file", "", "file with the token that webhooks have to know")
	flags.BoolVar(&f.LeaderElection, "enable-leader-election", false, "run only while holding the lease that Flux's controller uses too")
	flags.BoolVar(&f.ReleaseOnCancel, "leader-election-release-on-cancel", true, "release the lease at shutdown")
	flags.DurationVar(&f.LeaseDuration, "leader-election-lease-duration", 35*time.Second, "how long others wait for a leader that is silent")
	flags.DurationVar(&f.RenewDeadline, "leader-election-renew-deadline", 30*time.Second, "how long the leader tries to renew before it gives up")
	flags.DurationVar(&f.RetryTime, "leader-election-retry-period", 5*time.Second, "time between tries to get or renew the lease")
	flags.IntVar(&f.JitterPercent, "interval-jitter-percentage", 5, "share of an interval by which runs are spread, in percent")
	flags.DurationVar(&f.MinRetry, "min-retry-delay", 750*time.Millisecond, "time to the first retry of what failed")
	flags.DurationVar(&f.MaxRetry, "max-retry-delay", 15*time.Minute, "longest time between retries")
	flags.BoolVar(&f.AllowDowngrade, "allow-downgrade", false, "take a lower version when a tag disappears, as Flux does, instead of holding")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info or error")
	flags.StringVar(&f.logEncoding, "log-encoding", "json", "json or console")
	f.kustomizeFlags(flags, or)
	flags.BoolVar(&f.lifeline, "lifeline", false, "")
	_ = flags.MarkHidden("lifeline")
	f.Namespace = or("RUNTIME_NAMESPACE", "flux-system")
	return c
}

func (f *controllerFlags) run(c *cobra.Command, std IO) error {
	if err := f.check(c); err != nil {
		return err
	}
	log, err := f.logger(c, std)
	if err != nil {
		return err
	}
	f.Log, f.Version = log, std.Version
	f.HookToken = std.Getenv("HOOK_TOKEN")
	if f.hookTokenFile != "" {
		token, err := os.ReadFile(f.hookTokenFile)
		if err != nil {
			return &Problem{Code: codeOf(err), What: "reading --hook-token-file failed", Why: err}
		}
		f.HookToken = strings.TrimSpace(string(token))
	}
	config, err := f.restConfig(std)
	if err != nil {
		return &Problem{Code: NotFound, What: "no cluster to connect to", Why: err, Do: []string{"pass --kubeconfig FILE"}}
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	if f.lifeline {
		// Whoever started us holds the other end; when it is gone, so are we.
		go func() {
			_, _ = io.Copy(io.Discard, std.In)
			cancel()
		}()
	}
	stop, err := f.record()
	if err != nil {
		return err
	}
	defer stop()
	if err := wire.Controller(ctx, config, f.Options); err != nil {
		return &Problem{Code: Negative, What: "the controller stopped", Why: err}
	}
	return nil
}

func (f *controllerFlags) check(c *cobra.Command) error {
	for _, kind := range f.Controllers {
		if !slices.Contains(wire.Kinds, kind) {
			return usage(c, fmt.Sprintf("--controllers: %q is none of %s", kind, strings.Join(wire.Kinds, ", ")))
		}
	}
	switch {
	case len(f.Controllers) == 0:
		return usage(c, "--controllers is empty: there is nothing to reconcile")
	case f.Kustomize.Concurrent < 1 || f.Kustomize.ConcurrentSSA < 1:
		return usage(c, "--concurrent-deliveries and --concurrent-ssa must be at least 1")
	case f.digestAlgo != "sha256":
		return usage(c, fmt.Sprintf("--artifact-digest-algo %s is not supported; use sha256", f.digestAlgo))
	case f.JitterPercent < 0 || f.JitterPercent > 100:
		return usage(c, fmt.Sprintf("--interval-jitter-percentage %d: want 0 to 100", f.JitterPercent))
	case f.MinRetry <= 0 || f.MaxRetry < f.MinRetry:
		return usage(c, "--min-retry-delay must be positive and at most --max-retry-delay")
	}
	f.Kustomize.Gates = wire.DefaultGates
	if err := setGates(&f.Kustomize.Gates, f.gates); err != nil {
		return usage(c, err.Error())
	}
	if f.memory == "" {
		return nil
	}
	limit, err := resource.ParseQuantity(f.memory)
	if err != nil || limit.Value() < 64<<20 {
		return usage(c, fmt.Sprintf("--memory-limit %s: want a quantity of at least 64Mi", f.memory))
	}
	f.Memory = limit.Value()
	return nil
}

func (f *controllerFlags) restConfig(std IO) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = f.qps, f.burst
	config.UserAgent = "sluice/" + std.Version
	return config, nil
}

// logger writes the keys that `flux logs` reads (flux2 cmd/flux/logs.go).
func (f *controllerFlags) logger(c *cobra.Command, std IO) (*slog.Logger, error) {
	var level slog.Level
	switch f.logLevel {
	case "debug", "trace":
		level = slog.LevelDebug
	case "info":
		level = slog.LevelInfo
	case "error":
		level = slog.LevelError
	default:
		return nil, usage(c, fmt.Sprintf("--log-level %s: want debug, info or error", f.logLevel))
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey:
			return slog.String("ts", a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
		case slog.LevelKey:
			return slog.String(slog.LevelKey, strings.ToLower(a.Value.String()))
		}
		return a
	}}
	switch f.logEncoding {
	case "json":
		return slog.New(slog.NewJSONHandler(std.Err, options)), nil
	case "console":
		return slog.New(slog.NewTextHandler(std.Err, options)), nil
	}
	return nil, usage(c, fmt.Sprintf("--log-encoding %s: want json or console", f.logEncoding))
}
