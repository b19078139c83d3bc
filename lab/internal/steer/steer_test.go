package steer

import (
	"strings"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		name        string
		annotations map[string]string
		allowed     []Behavior
		behavior    Behavior
		after       time.Duration // -1: not said
		problem     string
	}{
		{"nothing", nil, PodBehaviors, Default, -1, ""},
		{"both", map[string]string{BehaviorAnnotation: "hang", AfterAnnotation: "1m30s"}, PodBehaviors, Hang, 90 * time.Second, ""},
		{"at once", map[string]string{AfterAnnotation: "0s"}, PodBehaviors, Default, 0, ""},
		{"typing error", map[string]string{BehaviorAnnotation: "crashloop"}, PodBehaviors, Default, -1, "allowed are crash-loop, image-pull-error"},
		{"of pods only", map[string]string{BehaviorAnnotation: "crash-loop"}, ResourceBehaviors, Default, -1, "allowed are hang, fail"},
		{"no unit", map[string]string{AfterAnnotation: "5"}, PodBehaviors, Default, -1, "not a duration"},
		{"negative", map[string]string{AfterAnnotation: "-5s"}, PodBehaviors, Default, -1, "not a duration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wish, problems := Read(tc.annotations, tc.allowed)
			if wish.Behavior != tc.behavior || wish.AfterOr(-1) != tc.after {
				t.Errorf("got %q after %s", wish.Behavior, wish.AfterOr(-1))
			}
			text := strings.Join(problems, "; ")
			if (tc.problem == "") != (text == "") || !strings.Contains(text, tc.problem) {
				t.Errorf("problems: %q, want %q in it", text, tc.problem)
			}
		})
	}
}
