package crstatus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Rule says which status an object of a custom kind gets, and when.
type Rule struct {
	Group string `json:"group"`
	// Version is the one to read and write; empty is the one that is stored.
	Version string `json:"version,omitempty"`
	Kind    string `json:"kind"`
	Match   Match  `json:"match,omitempty"`
	Steps   []Step `json:"steps"`
	// Fail is the status of an object that shall fail.
	Fail map[string]any `json:"fail,omitempty"`
}

// Match narrows a rule to the objects that have all these labels and annotations.
type Match struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Step is a status, merged into that of the object some time after the object
// was created or its spec changed.
type Step struct {
	After  Delay          `json:"after,omitempty"`
	Status map[string]any `json:"status"`
}

// Delay is written as 500ms or 1m30s.
type Delay time.Duration

// UnmarshalJSON reads a duration.
func (d *Delay) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("after: %s is not a duration; write for example 5s or 1m30s", data)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < 0 {
		return fmt.Errorf("after: %q is not a duration; write for example 5s or 1m30s", text)
	}
	*d = Delay(parsed)
	return nil
}

// parse reads one rule or a list of rules. What is wrong with one rule does not
// spoil the others; each problem begins with where it is.
func parse(text string) (rules []Rule, problems []string) {
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, []string{err.Error()}
	}
	single := len(data) > 0 && data[0] != '['
	items := []json.RawMessage{data}
	if !single {
		if err := json.Unmarshal(data, &items); err != nil {
			return nil, []string{err.Error()}
		}
	}
	for i, item := range items {
		rule, err := parseOne(item)
		switch {
		case err == nil:
			rules = append(rules, rule)
		case single:
			problems = append(problems, err.Error())
		default:
			problems = append(problems, fmt.Sprintf("rule %d: %v", i+1, err))
		}
	}
	return rules, problems
}

func parseOne(item json.RawMessage) (Rule, error) {
	var rule Rule
	decoder := json.NewDecoder(bytes.NewReader(item))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rule); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field == "" {
			return Rule{}, fmt.Errorf("must be a mapping with group, kind and steps, not %s", wrong.Value)
		}
		return Rule{}, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	switch {
	case rule.Kind == "":
		return Rule{}, errors.New("kind is missing")
	case !strings.Contains(rule.Group, "."):
		return Rule{}, fmt.Errorf("group %q cannot be that of a custom resource: rules are for custom resources only", rule.Group)
	case len(rule.Steps) == 0:
		return Rule{}, fmt.Errorf("%s has no steps", rule.Kind)
	}
	for i, step := range rule.Steps {
		if len(step.Status) == 0 {
			return Rule{}, fmt.Errorf("step %d of %s has no status", i+1, rule.Kind)
		}
	}
	slices.SortStableFunc(rule.Steps, func(a, b Step) int { return int(a.After - b.After) })
	return rule, nil
}

// matches says whether the rule, of the right kind, is for an object with these
// labels and annotations.
func (r Rule) matches(labels, annotations map[string]string) bool {
	return includes(labels, r.Match.Labels) && includes(annotations, r.Match.Annotations)
}

func includes(all, some map[string]string) bool {
	for key, value := range some {
		if has, ok := all[key]; !ok || has != value {
			return false
		}
	}
	return true
}

// key is equal for equal rules.
func (r Rule) key() string {
	data, _ := json.Marshal(r)
	return string(data)
}
