package deliver

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/internal/event"
	"github.com/sluice-dev/sluice/internal/health"
	"github.com/sluice-dev/sluice/internal/ready"
)

// terminal begins the message of a mistake that only a changed spec mends
// (kustomize-controller kustomization_controller.go TerminalErrorMessage).
const terminal = "Reconciliation failed terminally due to configuration error"

// accept refuses what this version cannot do: nothing of a spec is passed over
// in silence.
func (r *rollout) accept(context.Context) turn {
	if fields := unsupported(r); len(fields) > 0 {
		return stalled(event.StepAccept, fmt.Sprintf(
			"this version of Sluice does not support %s; remove it, or leave this object to Flux by the label sharding.fluxcd.io/key",
			strings.Join(fields, " and ")))
	}
	if r.rules == nil { // the same spec keeps its rules, and with them the verdicts by them
		rules, err := health.Compile(r.object.Spec.HealthCheckExprs)
		if err != nil {
			return stalled(event.StepExpr, fmt.Sprintf("%s: %v", terminal, err))
		}
		r.rules = rules
	}
	if err := ready.CompileExprs(r.object); err != nil {
		return stalled(event.StepExpr, fmt.Sprintf("%s: %v", terminal, err))
	}
	return onward
}

func unsupported(r *rollout) []string {
	var fields []string
	if r.object.Spec.Decryption != nil {
		fields = append(fields, "spec.decryption")
	}
	if k := r.object.Spec.KubeConfig; k != nil && k.ConfigMapRef != nil {
		fields = append(fields, "spec.kubeConfig.configMapRef")
	}
	return fields
}

// awaitSource waits for an artifact; its publication wakes the roll-out, as a
// new wish.
func (r *rollout) awaitSource(ctx context.Context) turn {
	switch {
	case r.source.Denied != "":
		return stalled(event.StepAccess, r.source.Denied)
	case r.source.Missing != "":
		return r.awaits(ctx, event.OnSource, r.source.Missing, r.source.Missing)
	}
	return onward
}
