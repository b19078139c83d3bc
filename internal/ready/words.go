package ready

import (
	"cmp"
	"fmt"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/meta"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
)

const longest = 200 // characters that are quoted of a dependency

// ownWords is why a dependency is not ready, as it says itself: the reason and
// the first line of its Ready condition.
func ownWords(peer *kustomizev1.Kustomization) string {
	c := apimeta.FindStatusCondition(peer.Status.Conditions, meta.ReadyCondition)
	if c == nil || c.Status == "True" {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	return strings.Trim(c.Reason+": "+short(strings.TrimSpace(line)), ": ")
}

// unobserved: what a dependency says of itself may be about an older spec. The
// observed generation stays behind when a newer one fails; its condition does
// not.
func unobserved(peer *kustomizev1.Kustomization) string {
	c := apimeta.FindStatusCondition(peer.Status.Conditions, meta.ReadyCondition)
	switch {
	case c != nil && c.Status == "False" && c.ObservedGeneration == peer.Generation:
		return ownWords(peer)
	case c == nil || peer.Status.ObservedGeneration < 0:
		return "it has not been reconciled yet"
	}
	return fmt.Sprintf("generation %d is not reconciled yet, the last was %d", peer.Generation, peer.Status.ObservedGeneration)
}

func (c check) behind() string {
	return fmt.Sprintf("it has %s, the source has %s",
		cmp.Or(short(c.peer.Status.LastAppliedRevision), "none"), cmp.Or(short(c.revision), "none"))
}

func suspended(peer *kustomizev1.Kustomization) string {
	if peer.Spec.Suspend {
		return "it is suspended"
	}
	return ""
}

// detail joins what is known to follow a text.
func detail(words ...string) string {
	text := ""
	for _, w := range words {
		if w != "" {
			text += ": " + w
		}
	}
	return strings.Replace(text, ": it is suspended", "; it is suspended", 1)
}

func short(text string) string {
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}
