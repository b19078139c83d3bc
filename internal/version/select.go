package version

import (
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Following is what a source follows when a selection is made.
type Following struct {
	// Tag is the one last selected, empty if there is none.
	Tag string
	// MayGoBack allows a lower version than Tag. Without it a version that
	// disappears from a registry never takes an environment backwards.
	MayGoBack bool
}

// Selection is the answer of Select.
type Selection struct {
	// Tag to follow; empty if nothing matches.
	Tag string
	// Held says that Tag is what was followed before, although it is gone,
	// because everything left is lower.
	Held bool
	// Best is what would be selected if nothing was held; empty if nothing
	// matches.
	Best string

	rule       Rule
	candidates []Candidate
}

// Verdict is what became of one tag.
type Verdict int

// The verdicts, best first.
const (
	Chosen Verdict = iota
	Lower          // matches, but a higher version exists
	OutOfRange
	FilteredOut
	NotAVersion
)

// Candidate is one tag and what became of it.
type Candidate struct {
	Tag     string
	Verdict Verdict

	version *semver.Version
}

// Select applies a rule that NeedsTags to the tags of a repository. Tags of
// equal precedence (v1.0.0 and 1.0.0, or builds of one version) are decided by
// their text: the last in byte order wins.
func Select(rule Rule, tags []string, following Following) Selection {
	sel := Selection{rule: rule, candidates: make([]Candidate, 0, len(tags))}
	best := -1
	for _, tag := range tags {
		c := rule.judge(tag)
		sel.candidates = append(sel.candidates, c)
		if c.Verdict == Lower && (best < 0 || higher(c, sel.candidates[best])) {
			best = len(sel.candidates) - 1
		}
	}
	if best >= 0 {
		sel.Best = sel.candidates[best].Tag
	}
	sel.Tag = sel.Best
	if !following.MayGoBack && rule.wouldGoBack(following.Tag, sel) {
		sel.Tag, sel.Held = following.Tag, true
		return sel
	}
	if best >= 0 {
		sel.candidates[best].Verdict = Chosen
	}
	return sel
}

// judge says what a tag is by itself; a match is Lower until it is Chosen.
func (r Rule) judge(tag string) Candidate {
	if r.filter != nil && !r.filter.MatchString(tag) {
		return Candidate{Tag: tag, Verdict: FilteredOut}
	}
	v, err := r.parseVersion(tag)
	switch {
	case err != nil:
		return Candidate{Tag: tag, Verdict: NotAVersion}
	case !r.constraint.Check(v):
		return Candidate{Tag: tag, Verdict: OutOfRange, version: v}
	default:
		return Candidate{Tag: tag, Verdict: Lower, version: v}
	}
}

// wouldGoBack tells whether the followed tag still is what the rule asks for,
// has disappeared, and everything left is lower.
func (r Rule) wouldGoBack(tag string, sel Selection) bool {
	if tag == "" || tag == sel.Best {
		return false
	}
	old := r.judge(tag)
	if old.Verdict != Lower {
		return false // the rule does not want it any more
	}
	if sel.Best == "" {
		return true
	}
	return r.judge(sel.Best).version.LessThan(old.version)
}

func higher(a, b Candidate) bool {
	if order := a.version.Compare(b.version); order != 0 {
		return order > 0
	}
	return a.Tag > b.Tag
}

// Ranking lists every tag: first the matching ones, highest version first,
// then the others by reason and name.
func (s Selection) Ranking() []Candidate {
	ranked := slices.Clone(s.candidates)
	slices.SortFunc(ranked, func(a, b Candidate) int {
		matchA, matchB := a.Verdict <= Lower, b.Verdict <= Lower
		switch {
		case matchA && matchB && higher(a, b), matchA && !matchB:
			return -1
		case matchA || matchB:
			return 1
		case a.Verdict != b.Verdict:
			return int(a.Verdict) - int(b.Verdict)
		default:
			return strings.Compare(a.Tag, b.Tag)
		}
	})
	return ranked
}

// Why says in a sentence what became of a candidate of this selection.
func (s Selection) Why(c Candidate) string {
	switch c.Verdict {
	case Chosen:
		return "chosen: the highest version that matches"
	case Lower:
		switch {
		case s.Held:
			return fmt.Sprintf("lower than %s, which disappeared and is held", s.Tag)
		case c.version.Equal(s.rule.judge(s.Best).version):
			return fmt.Sprintf("same version as %s, which comes later in byte order", s.Best)
		default:
			return fmt.Sprintf("lower than %s", s.Best)
		}
	case OutOfRange:
		return s.rule.whyOutOfRange(c.version)
	case FilteredOut:
		return fmt.Sprintf("does not match the filter %q", s.rule.policy.SemverFilter)
	default:
		return notAVersion(c.Tag)
	}
}

func (r Rule) whyOutOfRange(v *semver.Version) string {
	release, err := v.SetPrerelease("")
	if v.Prerelease() != "" && err == nil && r.constraint.Check(&release) {
		return fmt.Sprintf("a pre-release; %q takes releases only (append -0 to the version to take both)", r.policy.SemVer)
	}
	return fmt.Sprintf("outside of %q", r.policy.SemVer)
}

func notAVersion(tag string) string {
	core, pre, found := strings.Cut(strings.TrimPrefix(tag, "v"), "-")
	switch {
	case strings.Count(core, ".") < 2:
		return "no version: three dotted numbers are needed"
	case found && len(pre) > 1 && pre[0] == '0' && strings.Trim(pre, "0123456789") == "":
		return "no version: a numeric pre-release must not start with 0"
	default:
		return "no version by the rules of semver.org"
	}
}
