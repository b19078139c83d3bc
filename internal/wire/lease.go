package wire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The names under which Flux does the work of a kind: in leases, events and
// managed fields.
const (
	sourceController    = "source-controller"
	kustomizeController = "kustomize-controller"
)

// leaseNames are Flux's, so that two engines never lead together
// (fluxcd/pkg/runtime/leaderelection GenerateID).
func leaseNames(o Options) []string {
	suffix := "-leader-election"
	if o.Selector != "" {
		suffix += "-" + fmt.Sprintf("%x", sha256.Sum256([]byte(o.Selector)))[:8]
	}
	var names []string
	if slices.Contains(o.Controllers, "oci") {
		names = append(names, sourceController+suffix)
	}
	if slices.Contains(o.Controllers, "kustomize") {
		names = append(names, kustomizeController+suffix)
	}
	return names
}

// newLease makes the lock that leads; nil without leader election.
func newLease(config *rest.Config, o Options) (resourcelock.Interface, error) {
	if !o.LeaderElection {
		return nil, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this replica: %w", err)
	}
	config = rest.AddUserAgent(config, "leader-election")
	config.Timeout = max(o.RenewDeadline/2, time.Second)
	client, err := coordination.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	identity := host + "_" + string(uuid.NewUUID())
	var all leases
	for _, name := range leaseNames(o) {
		all = append(all, &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: name}, Client: client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		})
	}
	return all, nil
}

// leases are several locks of which one replica has to hold all: one for each
// controller of Flux whose work is done.
type leases []*resourcelock.LeaseLock

// Get gives the record of a lock that somebody else holds; else ours, if we
// hold all, or a free one.
func (l leases) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	var answer *resourcelock.LeaderElectionRecord
	var raw [][]byte
	missing := 0
	var gone error
	for _, lock := range l {
		record, bytes, err := lock.Get(ctx)
		if apierrors.IsNotFound(err) {
			missing++
			gone = err
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		raw = append(raw, bytes)
		held := func(r *resourcelock.LeaderElectionRecord) bool {
			return r != nil && r.HolderIdentity != "" && r.HolderIdentity != l.Identity()
		}
		if answer == nil || held(record) || !held(answer) && record.HolderIdentity == "" {
			answer = record
		}
	}
	switch {
	case missing == len(l):
		return nil, nil, gone
	case missing > 0 && answer.HolderIdentity == l.Identity():
		answer.HolderIdentity = "" // not ours before all are
	}
	return answer, bytes.Join(raw, []byte(",")), nil
}

// Create takes all locks when there is none.
func (l leases) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	for _, lock := range l {
		if err := lock.Create(ctx, record); err != nil {
			return err
		}
	}
	return nil
}

// Update takes, renews or releases all locks. If one slips away to somebody
// else the others run out.
func (l leases) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	for _, lock := range l {
		_, _, err := lock.Get(ctx)
		if apierrors.IsNotFound(err) {
			err = lock.Create(ctx, record)
		} else if err == nil {
			err = lock.Update(ctx, record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l leases) RecordEvent(string) {}
func (l leases) Identity() string   { return l[0].Identity() }
func (l leases) Describe() string   { return l[0].Describe() }
