package version

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func rule(t testing.TB, p Policy) Rule {
	t.Helper()
	r, err := Parse(p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The tags that the publishing workflow of real services leaves behind.
var published = []string{
	"v1", "v1.2", "latest", "main", "main-20261120-101500", "sha-abcdef1",
	"v1.2.3", "v1.2.4-rc.1", "v1.10.0", "v0.9.0",
	"v0.0.0-main-20261120-101500", "v0.0.0-main-20261121-090000", "v0.0.0-main",
	"v0.0.0-0123456", "v0.0.0-1234567", "v0.0.0-abcdef1",
	"v0.0.0-fix-staging-test-deploy-20261119-080000", "v0.0.0-fix-staging-test-deploy-20261120-080000",
	"v0.0.0-zz-experiment-20260101-000000",
}

func TestSelect(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		want   string
	}{
		{Policy{SemVer: ">=0.0.0"}, "v1.10.0"},
		{Policy{SemVer: ">= 1.0.0"}, "v1.10.0"},
		{Policy{SemVer: "*"}, "v1.10.0"},
		{Policy{SemVer: "x.x.x"}, "v1.10.0"},
		{Policy{SemVer: "1.2.x"}, "v1.2.3"},
		{Policy{SemVer: "~1.2.0-0"}, "v1.2.4-rc.1"},
		{Policy{SemVer: "<1.0.0 || ^1.2"}, "v1.10.0"},
		{Policy{SemVer: "0.9.0 - 1.2.3"}, "v1.2.3"},
		{Policy{SemVer: ">=1.0.0, <1.5"}, "v1.2.3"},
		{Policy{SemVer: ">=2.0.0"}, ""},
		// The seed's staging selector, and what it is without its filter: the
		// alphabetically largest branch, not the newest one.
		{Policy{SemVer: ">=0.0.0-0", SemverFilter: ".*-staging-test-deploy-.*"}, "v0.0.0-fix-staging-test-deploy-20261120-080000"},
		{Policy{SemVer: "<0.0.1-0"}, "v0.0.0-zz-experiment-20260101-000000"},
		{Policy{SemVer: ">=0.0.0-0"}, "v1.10.0"},
		// Numeric pre-releases sort below alphanumeric ones; a leading zero is no version.
		{Policy{SemVer: "<0.0.1-0", SemverFilter: "^v0.0.0-[0-9]+$"}, "v0.0.0-1234567"},
		{Policy{SemVer: "<0.0.1-0", SemverFilter: "^v0.0.0-(1234567|abcdef1)$"}, "v0.0.0-abcdef1"},
	} {
		tags := append([]string(nil), published...)
		rand.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
		if got := Select(rule(t, c.policy), tags, Following{}); got.Tag != c.want || got.Held {
			t.Errorf("%+v selected %q (held %v), want %q", c.policy, got.Tag, got.Held, c.want)
		}
	}
}

func TestEqualPrecedenceIsDecidedByText(t *testing.T) {
	for _, tags := range [][]string{{"1.0.0", "v1.0.0"}, {"v1.0.0", "1.0.0"}} {
		sel := Select(rule(t, Policy{SemVer: "*"}), tags, Following{})
		if sel.Tag != "v1.0.0" {
			t.Errorf("%v: selected %s", tags, sel.Tag)
		}
		if why := sel.Why(sel.Ranking()[1]); !strings.Contains(why, "same version as v1.0.0") {
			t.Errorf("%v: %s", tags, why)
		}
	}
	charts := Policy{SemVer: "*", Charts: true}
	if sel := Select(rule(t, charts), []string{"1.0.0_b", "1.0.0_a"}, Following{}); sel.Tag != "1.0.0_b" {
		t.Errorf("chart builds: selected %s", sel.Tag)
	}
	// Without chart rules an underscore makes the tag no version at all.
	if sel := Select(rule(t, Policy{SemVer: "*"}), []string{"1.0.0_b"}, Following{}); sel.Tag != "" {
		t.Errorf("underscore outside charts: selected %s", sel.Tag)
	}
}

func TestNothingGoesBackByItself(t *testing.T) {
	stable := rule(t, Policy{SemVer: ">=1.0.0"})
	for _, c := range []struct {
		name      string
		tags      []string
		following Following
		want      string
		held      bool
	}{
		{"the top tag is deleted", []string{"v1.0.0", "v1.1.0"}, Following{Tag: "v1.2.0"}, "v1.2.0", true},
		{"all tags are deleted", nil, Following{Tag: "v1.2.0"}, "v1.2.0", true},
		{"going back is allowed", []string{"v1.0.0", "v1.1.0"}, Following{Tag: "v1.2.0", MayGoBack: true}, "v1.1.0", false},
		{"deleted, and a higher one exists", []string{"v1.3.0"}, Following{Tag: "v1.2.0"}, "v1.3.0", false},
		{"deleted, and an equal one exists", []string{"1.2.0"}, Following{Tag: "v1.2.0"}, "1.2.0", false},
		{"still there", []string{"v1.2.0", "v1.1.0"}, Following{Tag: "v1.2.0"}, "v1.2.0", false},
		{"the rule does not want it any more", []string{"v1.1.0"}, Following{Tag: "v2.0.0-rc.1"}, "v1.1.0", false},
		{"followed a mutable tag before", []string{"v1.1.0"}, Following{Tag: "latest"}, "v1.1.0", false},
		{"followed nothing", []string{"v1.1.0"}, Following{}, "v1.1.0", false},
	} {
		sel := Select(stable, c.tags, c.following)
		if sel.Tag != c.want || sel.Held != c.held {
			t.Errorf("%s: selected %q, held %v; want %q, %v", c.name, sel.Tag, sel.Held, c.want, c.held)
		}
	}
}

func TestEveryRejectionHasAReason(t *testing.T) {
	sel := Select(rule(t, Policy{SemVer: ">=1.0.0", SemverFilter: "^v"}), []string{
		"v1.10.0", "v1.2.3", "v1.11.0-rc.1", "v0.9.0", "v0.8.0-rc.1", "v1.2", "v0.0.0-0123456", "v1.2.3.4", "main",
	}, Following{})
	var got []string
	for _, c := range sel.Ranking() {
		got = append(got, c.Tag+": "+sel.Why(c))
	}
	want := []string{
		`v1.10.0: chosen: the highest version that matches`,
		`v1.2.3: lower than v1.10.0`,
		`v0.8.0-rc.1: outside of ">=1.0.0"`,
		`v0.9.0: outside of ">=1.0.0"`,
		`v1.11.0-rc.1: a pre-release; ">=1.0.0" takes releases only (append -0 to the version to take both)`,
		`main: does not match the filter "^v"`,
		`v0.0.0-0123456: no version: a numeric pre-release must not start with 0`,
		`v1.2: no version: three dotted numbers are needed`,
		`v1.2.3.4: no version by the rules of semver.org`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestParseNamesTheField(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		want   string
	}{
		{Policy{SemVer: "not a range"}, "ref.semver"},
		{Policy{SemVer: ">=1", SemverFilter: "("}, "ref.semverFilter"},
		{Policy{Tag: "a b"}, "ref.tag"},
		{Policy{Digest: "sha256:12"}, "ref.digest"},
		{Policy{SemVer: strings.Repeat("1.0.0 || ", 40) + "1.0.0"}, "ref.semver"},
	} {
		if _, err := Parse(c.policy); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want an error that names %s", c.policy, err, c.want)
		}
	}
}

func TestUnusedFieldsAreNamed(t *testing.T) {
	for _, c := range []struct {
		policy Policy
		want   []string
	}{
		{Policy{Digest: "d", SemVer: "s", SemverFilter: "f", Tag: "t"}, []string{"ref.semver", "ref.semverFilter", "ref.tag"}},
		{Policy{SemVer: "s", SemverFilter: "f", Tag: "t"}, []string{"ref.tag"}},
		{Policy{SemverFilter: "f", Tag: "t"}, []string{"ref.semverFilter"}},
		{Policy{Tag: "t"}, nil},
	} {
		if diff := cmp.Diff(c.want, c.policy.Unused()); diff != "" {
			t.Errorf("%+v: %s", c.policy, diff)
		}
	}
}

// genTag makes tags of the shapes that registries hold, valid versions or not.
func genTag() *rapid.Generator[string] {
	number := rapid.StringMatching(`0|[1-9][0-9]?|0[0-9]`)
	return rapid.Custom(func(t *rapid.T) string {
		tag := rapid.SampledFrom([]string{"", "v"}).Draw(t, "v")
		parts := rapid.IntRange(1, 4).Draw(t, "parts")
		for i := range parts {
			if i > 0 {
				tag += "."
			}
			tag += number.Draw(t, "number")
		}
		return tag + rapid.SampledFrom([]string{"", "", "-rc.1", "-rc.2", "-0", "-01", "-main-20261120", "_build"}).Draw(t, "suffix")
	})
}

var ranges = []string{"*", ">=0.0.0", ">=0.0.0-0", "^1.2", "~2.0.0-0", "<3", "1 - 2", ">=1.0.0-rc.1 <2 || 5.x", "!=1.0.0", "=2.3.4"}

// TestSelectAgainstMasterminds: the winner is what the upstream library says
// is the maximum of what it lets through, and no order of tags changes it.
func TestSelectAgainstMasterminds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SliceOfNDistinct(genTag(), 0, 30, rapid.ID).Draw(t, "tags")
		expr := rapid.SampledFrom(ranges).Draw(t, "range")
		parsed, err := Parse(Policy{SemVer: expr})
		if err != nil {
			t.Fatal(err)
		}
		sel := Select(parsed, tags, Following{})

		constraint, err := semver.NewConstraint(expr)
		if err != nil {
			t.Fatal(err)
		}
		var most *semver.Version
		for _, tag := range tags {
			v, err := semver.NewVersion(tag)
			if err != nil || strings.Count(tag, ".") < 2 || !constraint.Check(v) {
				continue
			}
			if most == nil || v.GreaterThan(most) || v.Equal(most) && tag > most.Original() {
				most = v
			}
		}
		want := ""
		if most != nil {
			want = most.Original()
		}
		if sel.Tag != want {
			t.Fatalf("%s over %v: selected %q, want %q", expr, tags, sel.Tag, want)
		}
		shuffled := rapid.Permutation(tags).Draw(t, "shuffled")
		if again := Select(parsed, shuffled, Following{}); again.Tag != sel.Tag {
			t.Fatalf("another order of the tags selected %q instead of %q", again.Tag, sel.Tag)
		}
		if ranked := sel.Ranking(); len(ranked) != len(tags) {
			t.Fatalf("%d tags, %d reasons", len(tags), len(ranked))
		}
		for i, c := range sel.Ranking() {
			if (c.Verdict == Chosen) != (c.Tag == sel.Tag) || c.Verdict == Chosen && i != 0 || sel.Why(c) == "" {
				t.Fatalf("%s ranked %d as %d: %s", c.Tag, i, c.Verdict, sel.Why(c))
			}
		}
	})
}

// TestNeverLower: whatever disappears, a selection that may not go back is
// never lower than what was followed.
func TestNeverLower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SliceOfNDistinct(genTag(), 1, 20, rapid.ID).Draw(t, "tags")
		parsed, err := Parse(Policy{SemVer: rapid.SampledFrom(ranges).Draw(t, "range")})
		if err != nil {
			t.Fatal(err)
		}
		before := Select(parsed, tags, Following{})
		left := rapid.SliceOfDistinct(rapid.SampledFrom(tags), rapid.ID).Draw(t, "left")
		after := Select(parsed, left, Following{Tag: before.Tag})
		if before.Tag == "" {
			return
		}
		old, now := semver.MustParse(before.Tag), semver.MustParse(after.Tag)
		if now.LessThan(old) {
			t.Fatalf("went back from %s to %s", before.Tag, after.Tag)
		}
	})
}

// FuzzParse: no policy makes Parse or Select panic.
func FuzzParse(f *testing.F) {
	f.Add(">=0.0.0-0", ".*", "v1.0.0")
	f.Add("", "(", "latest")
	f.Fuzz(func(t *testing.T, expr, filter, tag string) {
		r, err := Parse(Policy{SemVer: expr, SemverFilter: filter})
		if err != nil || !r.NeedsTags() {
			return
		}
		sel := Select(r, []string{tag, "v1.2.3"}, Following{Tag: tag})
		for _, c := range sel.Ranking() {
			_ = sel.Why(c)
		}
	})
}

func BenchmarkSelect(b *testing.B) {
	tags := make([]string, 0, 3000)
	for i := range 1000 {
		tags = append(tags, fmt.Sprintf("v0.0.0-main-2026%04d-101010", i), fmt.Sprintf("v1.%d.0", i), fmt.Sprintf("sha-%07d", i))
	}
	r, err := Parse(Policy{SemVer: ">=0.0.0"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Select(r, tags, Following{})
	}
}
