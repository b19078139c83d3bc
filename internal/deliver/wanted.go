package deliver

import (
	"errors"

	"github.com/sluice-dev/sluice/internal/build"
	"github.com/sluice-dev/sluice/internal/object"
)

// ErrIdentityGone is returned by Targets when the account or kubeconfig to act
// with does not exist.
var ErrIdentityGone = errors.New("the identity to apply with is gone")

func isGone(err error) (bool, string) {
	if errors.Is(err, ErrIdentityGone) {
		return true, err.Error()
	}
	return false, ""
}

// Wanted is what a build of a Kustomization wants. It is never changed.
type Wanted struct {
	wish wish
	ids  map[object.ID]bool
}

// Has tells whether an object is wanted.
func (w *Wanted) Has(id object.ID) bool { return w.ids[id] }

// For tells whether it is the build that the occasion calls for.
func (w *Wanted) For(o Occasion) bool {
	now := o.wish()
	return w.wish.generation == now.generation && w.wish.revision == now.revision && w.wish.digest == now.digest
}

// Wanted gives the latest build; nil if there is none.
func (d *Delivery) Wanted() *Wanted {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wanted
}

func (d *Delivery) want(w *Wanted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = w
}

func wantedOf(w wish, built *build.Result) *Wanted {
	ids := make(map[object.ID]bool, len(built.Objects))
	for _, u := range built.Objects {
		ids[object.IDOf(u)] = true
	}
	return &Wanted{wish: w, ids: ids}
}
