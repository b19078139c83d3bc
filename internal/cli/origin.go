package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// origin is what is said of where content comes from.
type origin struct {
	source, revision string
	created          time.Time
	dirty            bool
}

// ci are the variables of CI systems: the first system whose commit variable
// is set counts.
var ci = []struct{ server, repository, ref, commit string }{
	{"GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_REF_NAME", "GITHUB_SHA"},
	{"CI_SERVER_URL", "CI_PROJECT_PATH", "CI_COMMIT_REF_NAME", "CI_COMMIT_SHA"},
}

var commitPattern = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

// findOrigin completes what the flags say from CI variables and from Git. The
// time of creation is that of the commit in the revision, or
// SOURCE_DATE_EPOCH, or 1970: never now, so that equal content has an equal
// digest.
func findOrigin(ctx context.Context, getenv func(string) string, dir, source, revision string) (origin, error) {
	o := origin{source: source, revision: revision, created: time.Unix(0, 0)}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	for _, v := range ci {
		commit := getenv(v.commit)
		if commit == "" {
			continue
		}
		if o.source == "" && getenv(v.repository) != "" {
			o.source = strings.TrimSuffix(getenv(v.server), "/") + "/" + getenv(v.repository)
		}
		if o.revision == "" {
			o.revision = flux(getenv(v.ref), commit)
		}
		break
	}
	if o.source == "" {
		o.source = git("remote", "get-url", "origin")
	}
	if o.revision == "" {
		if commit := git("rev-parse", "HEAD"); commit != "" {
			o.revision = flux(git("symbolic-ref", "--short", "HEAD"), commit)
			o.dirty = git("status", "--porcelain", "--", ".") != ""
		}
	}
	switch {
	case o.revision == "":
		return o, errors.New("--revision is required: neither CI variables nor a Git checkout tell it")
	case o.source == "":
		return o, errors.New("--source is required: neither CI variables nor a Git remote tell it")
	}
	if epoch := getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return o, fmt.Errorf("SOURCE_DATE_EPOCH is %q; want seconds since 1970", epoch)
		}
		o.created = time.Unix(seconds, 0)
	} else if commit := commitPattern.FindString(o.revision); commit != "" {
		if seconds, err := strconv.ParseInt(git("show", "--no-patch", "--format=%ct", commit), 10, 64); err == nil {
			o.created = time.Unix(seconds, 0)
		}
	}
	return o, nil
}

// flux is the form of a revision that Flux understands.
func flux(ref, commit string) string {
	if ref == "" {
		return "sha1:" + commit
	}
	return ref + "@sha1:" + commit
}
