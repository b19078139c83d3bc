package report

import (
	"fmt"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
)

// Past is one entry of a Kustomization's history: one content with one outcome.
type Past struct {
	Version  string    `json:"version"`
	Revision string    `json:"revision"`
	Origin   string    `json:"originRevision,omitempty"`
	Outcome  string    `json:"outcome"` // the reason of the Ready condition
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Took     string    `json:"took"`
	Times    int64     `json:"times"`
	Digest   string    `json:"digest"`            // of what was built
	Current  bool      `json:"current,omitempty"` // what runs now
}

// History lists what a Kustomization has been through, the latest first. Flux
// keeps five entries. (fluxcd/pkg/apis/meta history.go)
func History(ks *kustomizev1.Kustomization) []Past {
	past := []Past{}
	found := false
	for _, h := range ks.Status.History {
		p := Past{
			Revision: h.Metadata["revision"], Origin: h.Metadata["originRevision"], Outcome: h.LastReconciledStatus,
			First: h.FirstReconciled.Time, Last: h.LastReconciled.Time, Took: h.LastReconciledDuration.Duration.String(),
			Times: h.TotalReconciliations, Digest: h.Digest,
		}
		p.Version = Version(p.Revision)
		if !found && p.good() && p.Revision == ks.Status.LastAppliedRevision {
			p.Current, found = true, true
		}
		past = append(past, p)
	}
	return past
}

func (p Past) good() bool { return p.Outcome == meta.ReconciliationSucceededReason }

// HistoryLines lays a history out.
func HistoryLines(past []Past, s Style, now time.Time) []string {
	t := Table{Header: []string{"", "VERSION", "OUTCOME", "FIRST", "LAST", "TIMES", "TOOK", "CONTENT"}}
	for _, p := range past {
		mark, state := "", Failed
		if p.Current {
			mark = "*"
		}
		if p.good() {
			state = Ready
		}
		t.Rows = append(t.Rows, []Cell{
			{Text: mark}, {Text: p.Version}, {Text: p.Outcome, State: state}, {Text: since(now, p.First) + " ago"}, {Text: since(now, p.Last) + " ago"},
			{Text: fmt.Sprint(p.Times)}, {Text: p.Took}, {Text: short(p.Digest)},
		})
	}
	return t.Lines(s)
}
