package notify

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/sluice-dev/sluice/internal/event"
)

// KubernetesEvents makes a core/v1 Event of every notice: what `kubectl
// describe` and `flux events` show. The recorder's own queue and aggregation
// do the rest.
func KubernetesEvents(recorder record.EventRecorder) Sink {
	return func(_ context.Context, n event.Notice) error {
		kind := corev1.EventTypeNormal
		if n.Severity == event.Error {
			kind = corev1.EventTypeWarning
		}
		ref := reference(n.Object)
		recorder.AnnotatedEventf(&ref, n.Metadata, kind, n.Reason, "%s", n.Message)
		return nil
	}
}
