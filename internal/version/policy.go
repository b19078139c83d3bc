package version

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/opencontainers/go-digest"

	"github.com/sluice-dev/sluice/internal/artifact"
)

// DefaultTag is followed when a spec asks for nothing.
const DefaultTag = "latest"

// Policy is what a spec asks for. Precedence: Digest, SemVer, Tag; with none
// of them DefaultTag.
type Policy struct {
	Digest       string
	SemVer       string // a Masterminds range
	SemverFilter string // Go RE2, matched unanchored on the raw tag; only beside SemVer
	Tag          string
	// Charts says that tags are Helm chart versions, in which '_' stands for '+'.
	Charts bool
}

// Rule is a Policy that has been understood. Use Parse.
type Rule struct {
	policy     Policy
	constraint *semver.Constraints
	filter     *regexp.Regexp
}

// Parse reads a policy. An error names the field and the text that is wrong;
// only a changed spec can mend it.
func Parse(p Policy) (Rule, error) {
	rule := Rule{policy: p}
	var err error
	switch {
	case p.Digest != "":
		if _, err = artifact.ParseDigest(p.Digest); err != nil {
			return Rule{}, fmt.Errorf("ref.digest: %w", err)
		}
	case p.SemVer != "":
		if rule.constraint, err = semver.NewConstraint(p.SemVer); err != nil {
			return Rule{}, fmt.Errorf("ref.semver: %q is no version range: %w", p.SemVer, err)
		}
		if p.SemverFilter != "" {
			if rule.filter, err = regexp.Compile(p.SemverFilter); err != nil {
				return Rule{}, fmt.Errorf("ref.semverFilter: %q is no regular expression: %w", p.SemverFilter, err)
			}
		}
	case p.Tag != "":
		if err = artifact.CheckTag(p.Tag); err != nil {
			return Rule{}, fmt.Errorf("ref.tag: %w", err)
		}
	}
	return rule, nil
}

// Pinned is the digest that the rule asks for, empty if it asks for a tag.
func (r Rule) Pinned() digest.Digest { return digest.Digest(r.policy.Digest) }

// NeedsTags tells whether the rule has to see the list of tags.
func (r Rule) NeedsTags() bool { return r.policy.Digest == "" && r.constraint != nil }

// Tag is the tag that a rule without a range follows.
func (r Rule) Tag() string {
	if r.policy.Tag != "" {
		return r.policy.Tag
	}
	return DefaultTag
}

// String is the rule as a user would say it.
func (r Rule) String() string {
	switch {
	case r.policy.Digest != "":
		return "digest " + r.policy.Digest
	case r.filter != nil:
		return fmt.Sprintf("semver %q with filter %q", r.policy.SemVer, r.policy.SemverFilter)
	case r.constraint != nil:
		return fmt.Sprintf("semver %q", r.policy.SemVer)
	default:
		return "tag " + r.Tag()
	}
}

// Unused names the fields of the policy that a stronger field overrules; Flux
// ignores them without a word.
func (p Policy) Unused() []string {
	var unused []string
	note := func(field, value string) {
		if value != "" {
			unused = append(unused, field)
		}
	}
	switch {
	case p.Digest != "":
		note("ref.semver", p.SemVer)
		note("ref.semverFilter", p.SemverFilter)
		note("ref.tag", p.Tag)
	case p.SemVer != "":
		note("ref.tag", p.Tag)
	default:
		note("ref.semverFilter", p.SemverFilter)
	}
	return unused
}

// parseVersion reads a tag as a version: three dotted parts, a leading 'v' and
// loose numbers allowed (fluxcd/pkg/version ParseVersion).
func (r Rule) parseVersion(tag string) (*semver.Version, error) {
	text := tag
	if r.policy.Charts {
		text = strings.ReplaceAll(tag, "_", "+")
	}
	if strings.Count(text, ".") < 2 {
		return nil, semver.ErrInvalidSemVer
	}
	return semver.NewVersion(text)
}
