package oracle

import (
	"errors"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	fluxversion "github.com/fluxcd/pkg/version"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/version"
)

var errNoMatch = errors.New("no match")

// fluxTag answers as source-controller does (ocirepository_controller.go
// getTagBySemver): filter, read as versions, keep those in the range, sort.
// ties counts the matching tags of the highest precedence.
func fluxTag(tags []string, p version.Policy) (tag string, ties int, err error) {
	filter, err := regexp.Compile(p.SemverFilter) // an empty one matches everything, too
	if err != nil {
		return "", 0, err
	}
	constraint, err := semver.NewConstraint(p.SemVer)
	if err != nil {
		return "", 0, err
	}
	var matching semver.Collection
	for _, tag := range tags {
		if !filter.MatchString(tag) {
			continue
		}
		if p.Charts {
			tag = strings.ReplaceAll(tag, "_", "+")
		}
		if v, err := fluxversion.ParseVersion(tag); err == nil && constraint.Check(v) {
			matching = append(matching, v)
		}
	}
	if len(matching) == 0 {
		return "", 0, errNoMatch
	}
	sort.Sort(sort.Reverse(matching))
	for _, v := range matching {
		if v.Equal(matching[0]) {
			ties++
		}
	}
	tag = matching[0].Original()
	if p.Charts {
		tag = strings.ReplaceAll(tag, "+", "_")
	}
	return tag, ties, nil
}

// genTag draws what a registry may hold: versions, nearly versions, anything.
func genTag() *rapid.Generator[string] {
	number := rapid.OneOf(rapid.StringMatching(`[0-3]`), rapid.StringMatching(`[0-3]`), rapid.StringMatching(`1[0-9]|0[0-9]|2026[01][0-9]|99999999999999999999`))
	suffix := rapid.SampledFrom([]string{
		"", "", "", "", "-rc.1", "-rc.2", "-rc.10", "-0", "-01", "-alpha", "-main-20261120", "_build", "_1", "-rc.1_b", "-a_b_c", "-x--y", "-", "_", ".4",
	})
	made := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(number, 1, 4).Draw(t, "numbers")
		if rapid.IntRange(0, 3).Draw(t, "as usual") > 0 {
			parts = rapid.SliceOfN(number, 3, 3).Draw(t, "three numbers")
		}
		return rapid.SampledFrom([]string{"", "", "v", "v", "V", "app-"}).Draw(t, "prefix") + strings.Join(parts, ".") + suffix.Draw(t, "suffix")
	})
	return rapid.OneOf(made, made, made, rapid.StringMatching(`[a-zA-Z0-9_][a-zA-Z0-9._-]{0,12}`),
		rapid.SampledFrom([]string{"latest", "main", "sha256-00.sig", "1.2", "v1", "1.2.3", "v1.2.3", "1.2.03", "v1.02.3"}))
}

func genRange() *rapid.Generator[string] {
	one := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", "=", "!=", ">", ">=", "<", "<=", "~", "^", "~>", ">= "}).Draw(t, "operator") +
			rapid.SampledFrom([]string{"0.0.0", "0.0.0-0", "1", "1.x", "v1.2", "1.2.3", "1.2.3-rc.1", "2.0.0-0", "9", "*", "20260101.1", "bad"}).Draw(t, "version")
	})
	several := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(one, 2, 3).Draw(t, "ranges"), rapid.SampledFrom([]string{" ", ", ", " || ", " - "}).Draw(t, "join"))
	})
	usual := rapid.SampledFrom([]string{"*", ">=0.0.0", ">=0.0.0", ">=0.0.0-0", "^1.2", "1 - 2"})
	return rapid.OneOf(usual, usual, one, several)
}

func TestSelectedTag(t *testing.T) {
	filters := rapid.SampledFrom([]string{"", "", "", "rc", "^v", `^\d`, "-main-", "0$", "(", "_"})
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SliceOfNDistinct(genTag(), 0, rapid.SampledFrom([]int{3, 30}).Draw(t, "most"), rapid.ID).Draw(t, "tags")
		policy := version.Policy{
			SemVer: genRange().Draw(t, "range"), SemverFilter: filters.Draw(t, "filter"), Charts: rapid.Bool().Draw(t, "charts"),
		}
		sameSelection(t, tags, policy)
	})
}

// Each of these needs tags that a generator seldom makes decisive.
func TestSelectedTagCases(t *testing.T) {
	for name, c := range map[string]struct {
		policy version.Policy
		tags   []string
	}{
		"no tags":                            {version.Policy{SemVer: "*"}, nil},
		"a chart with build metadata":        {version.Policy{SemVer: ">=1.0.0", Charts: true}, []string{"1.2.3_1", "1.2.2"}},
		"no chart, so no version":            {version.Policy{SemVer: ">=1.0.0"}, []string{"1.2.3_1", "1.2.2"}},
		"a chart tag with two underscores":   {version.Policy{SemVer: ">=1.0.0", Charts: true}, []string{"1.2.3_a_b", "1.2.2"}},
		"a release beats its pre-releases":   {version.Policy{SemVer: ">=1.0.0-0"}, []string{"1.2.3-rc.10", "1.2.3", "1.2.3-rc.2"}},
		"pre-releases by number":             {version.Policy{SemVer: ">=1.0.0-0"}, []string{"1.2.3-rc.10", "1.2.3-rc.9"}},
		"pre-releases are not asked for":     {version.Policy{SemVer: ">=1.0.0"}, []string{"1.3.0-rc.1", "1.2.0"}},
		"dates with leading zeros":           {version.Policy{SemVer: "*"}, []string{"2026.02.03", "2026.1.4"}},
		"a leading v is no part of it":       {version.Policy{SemVer: "*"}, []string{"v1.2.3", "1.2.4", "v1.10.0"}},
		"two or four numbers are no version": {version.Policy{SemVer: "*"}, []string{"1.2", "9.9.9.9", "0.1.0"}},
		"the filter sees the raw tag":        {version.Policy{SemVer: "*", SemverFilter: "^v"}, []string{"v1.0.0", "2.0.0"}},
		"the filter of a chart, too":         {version.Policy{SemVer: "*", SemverFilter: "_", Charts: true}, []string{"1.0.0_1", "2.0.0"}},
	} {
		t.Run(name, func(t *testing.T) { sameSelection(t, c.tags, c.policy) })
	}
}

func sameSelection(t tester, tags []string, policy version.Policy) {
	t.Helper()
	flux, ties, fluxErr := fluxTag(tags, policy)
	rule, err := version.Parse(policy)
	if fluxErr != nil && !errors.Is(fluxErr, errNoMatch) {
		if err == nil {
			t.Fatalf("Flux refuses the rule (%v), we take it", fluxErr)
		}
		return
	}
	if err != nil {
		t.Fatalf("Flux takes the rule, we do not: %v", err)
	}
	ours := version.Select(rule, tags, version.Following{}).Tag
	switch {
	case ties < 2:
		if flux != ours {
			t.Fatalf("Flux selects %q, we %q", flux, ours)
		}
	case !samePrecedence(t, flux, ours, policy.Charts):
		t.Fatalf("Flux selects %q, we %q, which is another version", flux, ours)
	}
}

func samePrecedence(t tester, a, b string, charts bool) bool {
	t.Helper()
	var versions [2]*semver.Version
	for i, tag := range []string{a, b} {
		if charts {
			tag = strings.ReplaceAll(tag, "_", "+")
		}
		v, err := fluxversion.ParseVersion(tag)
		if err != nil {
			t.Fatalf("%q was selected: %v", tag, err)
		}
		versions[i] = v
	}
	return versions[0].Equal(versions[1])
}
