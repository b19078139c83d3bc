package wire

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/internal/archive"
	"github.com/sluice-dev/sluice/internal/artifact"
	"github.com/sluice-dev/sluice/internal/controller"
	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/follow"
	"github.com/sluice-dev/sluice/internal/hint"
	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/source/oci"
	"github.com/sluice-dev/sluice/internal/store"
)

// Options of a controller process; the flags of `sluice controller` name and
// explain them.
type Options struct {
	Controllers []string // of Kinds

	Namespace    string // the process's own: leases and, without AllNamespaces, everything
	AllNamespace bool
	Selector     string // --watch-label-selector: the shard
	Concurrent   int

	StoragePath, StorageAddr, StorageAdvAddr string
	RetentionTTL                             time.Duration
	RetentionRecords                         int
	MaxArtifact                              int64 // bytes, unpacked

	MetricsAddr, HealthAddr, EventsAddr string
	HookAddr, HookToken                 string

	LeaderElection                          bool
	ReleaseOnCancel                         bool
	LeaseDuration, RenewDeadline, RetryTime time.Duration

	JitterPercent      int
	MinRetry, MaxRetry time.Duration
	AllowDowngrade     bool

	Version string
	Log     *slog.Logger
	// Ready, if set, is told once when the process leads and serves.
	Ready func(Serving)
}

// Serving says where a controller process listens.
type Serving struct{ Storage, Hook string }

// Kinds are the values of --controllers.
var Kinds = []string{"oci"}

// controllerName is what Flux calls the controller whose work this is: in
// leases, events and managed fields.
const controllerName = "source-controller"

// Scheme knows the kinds that the controller reads and writes.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, sourcev1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // generated code that contradicts itself
		}
	}
	return scheme
}

// Controller runs until the context ends or leadership is lost.
func Controller(ctx context.Context, config *rest.Config, o Options) error {
	// Everything ends together, also when the manager ends by itself: a lost
	// lease, a port in use, CRDs that are missing.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ctrl.SetLogger(logr.FromSlogHandler(o.Log.Handler()))
	listeners, err := listen(o)
	if err != nil {
		return err
	}
	defer listeners.close()
	shelf, err := store.Open(o.StoragePath, store.Options{
		Address: advertised(o, listeners.storage), KeepFor: o.RetentionTTL, KeepRecords: o.RetentionRecords,
	})
	if err != nil {
		return err
	}
	mgr, err := newManager(config, o)
	if err != nil {
		return err
	}
	tell := newTeller(mgr, o)
	registries := oci.NewRegistries(oci.Options{UserAgent: "sluice/" + o.Version, MinRetry: o.MinRetry, MaxRetry: o.MaxRetry})
	if slices.Contains(o.Controllers, "oci") {
		sources := &controller.OCIRepositories{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(),
			Registry: registries, Shelf: shelf, Teller: tell,
			Follower: &follow.Follower{
				Limits:    archive.Limits{Bytes: o.MaxArtifact, Entries: archive.DefaultLimits.Entries},
				Unpacking: make(chan struct{}, 2),
			},
			Timing: controller.Timing{
				Spread: float64(o.JitterPercent) / 100, Retry: follow.Backoff{Min: o.MinRetry, Max: o.MaxRetry}, AllowDowngrade: o.AllowDowngrade,
			},
			Metrics: sourceMetrics{},
			Log:     o.Log,
		}
		if err := sources.Setup(ctx, mgr, o.Concurrent); err != nil {
			return fmt.Errorf("setting up the controller of OCIRepository objects: %w", err)
		}
		hints := hint.NewHandler(ctx, o.HookToken, hint.WakerFunc(func(ctx context.Context, repo artifact.Repository) {
			wake(ctx, o.Log, registries, sources, repo)
		}))
		if err := serve(mgr, listeners.hook, hints); err != nil {
			return err
		}
	}
	if err := serve(mgr, listeners.storage, shelf.Handler()); err != nil {
		return err
	}
	err = errors.Join(
		mgr.Add(onLead(func(ctx context.Context) error { return collect(ctx, shelf, o.Log) })),
		mgr.Add(onLead(func(context.Context) error {
			if o.Ready != nil {
				o.Ready(listeners.serving())
			}
			return nil
		})),
	)
	if err != nil {
		return err
	}
	told := tell.start(ctx)
	err = mgr.Start(ctx)
	stop()
	told()
	return err
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

func newManager(config *rest.Config, o Options) (manager.Manager, error) {
	selector, err := labels.Parse(o.Selector)
	if err != nil {
		return nil, fmt.Errorf("--watch-label-selector: %w", err)
	}
	options := ctrl.Options{
		Scheme:                        Scheme(),
		Metrics:                       server.Options{BindAddress: o.MetricsAddr},
		HealthProbeBindAddress:        o.HealthAddr,
		LeaderElection:                o.LeaderElection,
		LeaderElectionReleaseOnCancel: o.ReleaseOnCancel,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionID:              leaseName(o.Selector),
		LeaseDuration:                 &o.LeaseDuration,
		RenewDeadline:                 &o.RenewDeadline,
		RetryPeriod:                   &o.RetryTime,
		// Names are unique per process unless a test runs several.
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Cache: cache.Options{
			ByObject: map[client.Object]cache.ByObject{
				&sourcev1.OCIRepository{}: {Label: selector},
				&metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}: {Transform: onlyNames},
			},
		},
	}
	if !o.AllNamespace {
		options.Cache.DefaultNamespaces = map[string]cache.Config{o.Namespace: {}}
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	// Alive as long as it answers; ready only while it leads, so that a Service
	// never sends a consumer of artifacts to a replica that has none.
	leads := func(*http.Request) error {
		select {
		case <-mgr.Elected():
			return nil
		default:
			return errors.New("another replica leads")
		}
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("leader", leads)); err != nil {
		return nil, err
	}
	return mgr, nil
}

// leaseName is Flux's, so that two engines never lead together
// (fluxcd/pkg/runtime/leaderelection GenerateID).
func leaseName(selector string) string {
	name := controllerName + "-leader-election"
	if selector != "" {
		name += "-" + fmt.Sprintf("%x", sha256.Sum256([]byte(selector)))[:8]
	}
	return name
}

// onlyNames drops everything of a Secret's metadata that is not needed to know
// that it changed.
func onlyNames(o any) (any, error) {
	if m, ok := o.(*metav1.PartialObjectMetadata); ok {
		m.Labels, m.Annotations, m.ManagedFields, m.OwnerReferences = nil, nil, nil, nil
	}
	return o, nil
}

// onLead runs something when the process leads.
type onLead func(context.Context) error

func (f onLead) Start(ctx context.Context) error { return f(ctx) }

// serve answers HTTP while the process leads.
func serve(mgr manager.Manager, l net.Listener, h http.Handler) error {
	if l == nil {
		return nil
	}
	return mgr.Add(&manager.Server{
		Name: l.Addr().String(), Listener: l, OnlyServeWhenLeader: true,
		Server: &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second, WriteTimeout: 5 * time.Minute,
		},
	})
}

func collect(ctx context.Context, shelf *store.Store, log *slog.Logger) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := shelf.Collect(now); err != nil {
				log.Warn("unused content stays on disk; tried again in 10 minutes", "error", err)
			}
		}
	}
}

type listeners struct{ storage, hook net.Listener }

// listen takes the ports before anything else, so that a port in use is the
// first thing a user hears.
func listen(o Options) (listeners, error) {
	var l listeners
	var err error
	if l.storage, err = net.Listen("tcp", o.StorageAddr); err != nil {
		return l, fmt.Errorf("--storage-addr %s cannot be used: %w", o.StorageAddr, err)
	}
	if o.HookAddr != "" {
		if o.HookToken == "" {
			l.close()
			return l, errors.New("--hook-addr needs a token, by --hook-token-file or HOOK_TOKEN: anybody could send hints otherwise")
		}
		if l.hook, err = net.Listen("tcp", o.HookAddr); err != nil {
			l.close()
			return l, fmt.Errorf("--hook-addr %s cannot be used: %w", o.HookAddr, err)
		}
	}
	return l, nil
}

func (l listeners) close() {
	for _, x := range []net.Listener{l.storage, l.hook} {
		if x != nil {
			x.Close() // closed already after a clean run
		}
	}
}

func (l listeners) serving() Serving {
	s := Serving{Storage: l.storage.Addr().String()}
	if l.hook != nil {
		s.Hook = l.hook.Addr().String()
	}
	return s
}

// advertised is where consumers find the artifact server.
func advertised(o Options, l net.Listener) string {
	if o.StorageAdvAddr != "" {
		return o.StorageAdvAddr
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			return net.JoinHostPort(name, port)
		}
	}
	return l.Addr().String()
}

// teller is the fan-out of notices.
type teller struct {
	log    *slog.Logger
	queues []*notify.Queue
}

func newTeller(mgr manager.Manager, o Options) *teller {
	t := &teller{log: o.Log}
	undelivered := func(n event.Notice, err error) {
		o.Log.Warn("a notice was not delivered", "object", n.Object.String(), "reason", n.Reason, "error", err)
	}
	//lint:ignore SA1019 core/v1 Events are what Flux 1.9 writes and `flux events` reads
	recorder := mgr.GetEventRecorderFor(controllerName)
	t.queues = append(t.queues, notify.NewQueue(notify.KubernetesEvents(recorder), undelivered))
	if o.EventsAddr != "" {
		poster := &notify.Poster{Address: o.EventsAddr, Controller: controllerName}
		t.queues = append(t.queues, notify.NewQueue(poster.Send, undelivered))
	}
	return t
}

// Tell implements controller.Teller.
func (t *teller) Tell(n event.Notice) {
	level := slog.LevelInfo
	if n.Severity == event.Error {
		level = slog.LevelError
	}
	t.log.Log(context.Background(), level, n.Message,
		"controllerKind", n.Object.Kind, "name", n.Object.Name, "namespace", n.Object.Namespace, "reason", n.Reason)
	for _, q := range t.queues {
		q.Tell(n)
	}
}

// flushTime is what a shutdown waits for notices to get out.
const flushTime = 5 * time.Second

// start delivers until the context ends; the function it returns waits until
// what was told before is out.
func (t *teller) start(ctx context.Context) (wait func()) {
	done := make(chan struct{}, len(t.queues))
	flush, cancel := context.WithCancel(context.WithoutCancel(ctx))
	for _, q := range t.queues {
		go func() {
			q.Run(ctx, flush)
			done <- struct{}{}
		}()
	}
	return func() {
		time.AfterFunc(flushTime, cancel)
		for range t.queues {
			<-done
		}
		cancel()
	}
}
