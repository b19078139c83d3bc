package deliver

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/object"
)

type objectID = object.ID

var (
	inProgress = health.Verdict{Status: health.InProgress, Message: "0/1"}
	broken     = health.Verdict{Status: health.Failed, Message: "crash loop"}
	forbidden  = apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "x", nil)
)

// files are those of a bundle that was published.
func (w *world) files(revision string) map[string]string {
	files := map[string]string{}
	for name, f := range w.bundles[revision] {
		files[name] = string(f.Data)
	}
	return files
}

func errInvalid(text string) error {
	err := apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "a", nil)
	err.ErrStatus.Message = text
	return err
}

func noticeOf(message string) func(event.Notice) bool {
	return func(n event.Notice) bool { return n.Message == message }
}
