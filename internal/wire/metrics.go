package wire

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/sluice-dev/sluice/internal/event"
)

// durations has the name, labels and buckets of fluxcd/pkg/runtime/metrics, so
// that Flux's dashboards work.
var durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
	Name:    "gotk_reconcile_duration_seconds",
	Help:    "The duration in seconds of a GitOps Toolkit resource reconciliation.",
	Buckets: prometheus.ExponentialBucketsRange(10e-3, 1800, 10),
}, []string{"kind", "name", "namespace"})

func init() { metrics.Registry.MustRegister(durations) } // metrics register once per process

// runMetrics implements controller.Metrics.
type runMetrics struct{}

func (runMetrics) Observe(o event.Object, took time.Duration) {
	durations.WithLabelValues(o.Kind, o.Name, o.Namespace).Observe(took.Seconds())
}

func (runMetrics) Forget(o event.Object) {
	durations.DeleteLabelValues(o.Kind, o.Name, o.Namespace)
}
