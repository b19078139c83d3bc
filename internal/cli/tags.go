package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/version"
)

// tagRow is one tag as `sluice tags` shows it.
type tagRow struct {
	Tag    string `json:"tag"`
	Chosen bool   `json:"chosen,omitempty"`
	Why    string `json:"why,omitempty"`
}

// tagList is the whole answer.
type tagList struct {
	Repository string   `json:"repository"`
	Rule       string   `json:"rule,omitempty"`
	Chosen     string   `json:"chosen,omitempty"`
	Tags       []tagRow `json:"tags"`
}

func newTags(std IO) *cobra.Command {
	var f registryFlags
	var policy version.Policy
	var output format
	c := &cobra.Command{
		Use:   "tags oci://REGISTRY/REPO",
		Short: "List the tags of a repository, and say which one a range chooses and why not the others",
		Example: `  sluice tags oci://ghcr.io/org/app-kustomize
  sluice tags oci://ghcr.io/org/app-kustomize --semver '>=0.0.0-0' --semver-filter '.*-staging-.*'`,
		Long: `List the tags of a repository.

With --semver and --semver-filter, as in the ref of an OCIRepository, say which
tag is chosen and, for each other one, why not. The exit code is 1 if none is.`,
		Args: oneArg("oci://REGISTRY/REPO"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := output.check(c); err != nil {
				return err
			}
			if c.Flags().Changed("semver") && policy.SemVer == "" {
				return usage(c, "--semver is empty; '*' takes every release")
			}
			if policy.SemVer == "" && policy.SemverFilter != "" {
				return usage(c, "--semver-filter needs --semver: without a range the filter has no effect")
			}
			rule, err := version.Parse(policy)
			if err != nil {
				return usage(c, strings.NewReplacer("ref.semverFilter", "--semver-filter", "ref.semver", "--semver").Replace(err.Error()))
			}
			ref, err := reference(c, args[0])
			if err != nil {
				return err
			}
			if ref.Tag != "" || ref.Digest != "" {
				return usage(c, fmt.Sprintf("tags takes a repository, without tag and digest: %s", ref.Repository.URL()))
			}
			client, err := f.open(c, std, ref.Repository)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), f.timeout)
			defer cancel()
			seen, err := client.Tags(ctx, f.ask())
			if err != nil {
				p := registryProblem(fmt.Sprintf("listing the tags of %s failed", ref.Repository.URL()), err)
				if p.Code == NotFound {
					p.Do = []string{"check the name of the repository; it comes into being with the first push"}
				}
				return p
			}
			list := tagList{Repository: ref.Repository.String(), Tags: []tagRow{}}
			if rule.NeedsTags() {
				rank(&list, rule, seen.Value)
			} else {
				slices.Sort(seen.Value)
				for _, tag := range seen.Value {
					list.Tags = append(list.Tags, tagRow{Tag: tag})
				}
			}
			if err := output.print(std.Out, list, list.print); err != nil {
				return err
			}
			if rule.NeedsTags() && list.Chosen == "" {
				return &Problem{
					Code: Negative, What: fmt.Sprintf("no tag of %s matches %s", ref.Repository, rule),
					Next: "an OCIRepository with this ref waits until one is published",
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&policy.SemVer, "semver", "", "range of versions, as in spec.ref.semver")
	c.Flags().StringVar(&policy.SemverFilter, "semver-filter", "", "regular expression on the raw tag, as in spec.ref.semverFilter")
	c.Flags().BoolVar(&policy.Charts, "charts", false, "read tags as Helm chart versions, in which _ stands for +")
	output.register(c)
	f.register(c)
	return c
}

func rank(list *tagList, rule version.Rule, tags []string) {
	sel := version.Select(rule, tags, version.Following{})
	list.Rule, list.Chosen = rule.String(), sel.Tag
	for _, candidate := range sel.Ranking() {
		list.Tags = append(list.Tags, tagRow{Tag: candidate.Tag, Chosen: candidate.Verdict == version.Chosen, Why: sel.Why(candidate)})
	}
}

func (l tagList) print(w io.Writer) error {
	if l.Rule == "" {
		for _, row := range l.Tags {
			if _, err := fmt.Fprintln(w, row.Tag); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	for _, row := range l.Tags {
		mark := ""
		if row.Chosen {
			mark = "*"
		}
		rows = append(rows, []string{mark, row.Tag, row.Why})
	}
	return table(w, []string{"", "TAG", "WHY"}, rows)
}
