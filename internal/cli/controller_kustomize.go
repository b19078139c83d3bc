package cli

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/internal/event"
)

// kustomizeFlags are the flags that are about Kustomizations.
func (f *controllerFlags) kustomizeFlags(flags *pflag.FlagSet, or func(name, otherwise string) string) {
	k := &f.Kustomize
	flags.IntVar(&k.Concurrent, "concurrent-deliveries", 16, "Kustomizations that are built or applied at the same time; those that wait are not counted")
	flags.IntVar(&k.ConcurrentSSA, "concurrent-ssa", 8, "objects of one Kustomization that are applied at the same time")
	flags.DurationVar(&k.Recheck, "requeue-dependency", 30*time.Second, "when something that should be announced by an event is looked at anyway")
	flags.DurationVar(&k.RequestTimeout, "request-timeout", 30*time.Second, "longest time that a request to a cluster may take")
	flags.StringVar(&k.ConfigsSelector, "watch-configs-label-selector", "reconcile.fluxcd.io/watch=Enabled", "ConfigMaps and Secrets whose change starts a roll-out of what refers to them")
	flags.BoolVar(&k.NoCrossNamespace, "no-cross-namespace-refs", false, "refuse sources in other namespaces")
	flags.StringVar(&k.DefaultServiceAccount, "default-service-account", "", "account to apply with where a Kustomization names none")
	flags.StringArrayVar(&k.Override, "override-manager", nil, "field manager whose changes to applied objects are taken back; may be repeated")
	flags.StringSliceVar(&k.StageKinds, "custom-apply-stage-kinds", nil, "kinds that are applied in a stage of their own before namespaced objects, as group/Kind")
	flags.BoolVar(&k.AllowExec, "insecure-kubeconfig-exec", false, "let kubeconfigs of Secrets run commands of the controller's image")
	flags.BoolVar(&k.AllowInsecureTLS, "insecure-kubeconfig-tls", false, "let kubeconfigs of Secrets leave the server's certificate unchecked")
	flags.BoolVar(&k.DriftAtInterval, "drift-at-interval", false, "take back changes made by others at the interval only, as Flux does, and not when they are seen")
	flags.StringSliceVar(&f.gates, "feature-gates", nil, "Flux's feature gates, as Name=true or Name=false")
	flags.StringVar(&f.memory, "memory-limit", "", "memory that the process tries to stay below, for example 512Mi; GOMEMLIMIT counts if it is lower (default 1Gi)")
	flags.StringVar(&f.eventLog, "event-log", "", "file to which everything that happens to Kustomizations is appended, as JSON lines")
	k.Localhost = or("SOURCE_CONTROLLER_LOCALHOST", "")

	// Flux's flags that ask for what is always so here.
	flags.Bool("no-remote-bases", true, "bases are never fetched from elsewhere, whatever is said here")
	flags.Int("http-retry", 9, "accepted; downloads are tried again for as long as it takes")
}

// record opens the event log, if there is to be one.
func (f *controllerFlags) record() (stop func(), err error) {
	if f.eventLog == "" {
		return func() {}, nil
	}
	file, err := os.OpenFile(f.eventLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, &Problem{Code: codeOf(err), What: "opening --event-log failed", Why: err}
	}
	var mu sync.Mutex
	w := bufio.NewWriter(file)
	encode := json.NewEncoder(w)
	f.Stream = func(e event.Event) {
		mu.Lock()
		defer mu.Unlock()
		if encode.Encode(e) == nil {
			_ = w.Flush() // a full disk must not stop deliveries
		}
	}
	return func() { file.Close() }, nil
}
