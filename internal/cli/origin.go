package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
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
	hadPassword      bool // the source was a URL with credentials in it
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
	git := checkout{ctx: ctx, dir: dir}
	if dir == "-" {
		git.dir = "."
	} else if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		git.dir = filepath.Dir(dir)
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
	unknown := &Problem{Code: Usage, Next: nothingPushed}
	if o.source == "" {
		var err error
		if o.source, err = git.run("remote", "get-url", "origin"); err != nil {
			unknown.What, unknown.Why = "--source is required", err
			unknown.Do = []string{"pass --source URL: where the content comes from"}
		}
	}
	if o.revision == "" {
		commit, err := git.run("log", "-1", "--format=%H")
		if err == nil {
			o.revision = flux(git.say("symbolic-ref", "--short", "HEAD"), commit)
			o.dirty = git.say("status", "--porcelain", "--", ".") != ""
		} else {
			unknown.What, unknown.Why = "--revision is required", err
			unknown.Do = []string{"pass --revision BRANCH@sha1:COMMIT, or whatever tells versions apart"}
			if o.source == "" {
				unknown.What = "--source and --revision are required"
				unknown.Do = []string{"pass --source URL and --revision BRANCH@sha1:COMMIT"}
			}
		}
	}
	if unknown.What != "" {
		unknown.What += ": neither CI variables nor a Git checkout tell"
		return o, unknown
	}
	o.source, o.hadPassword = withoutPassword(o.source)
	if epoch := getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return o, &Problem{Code: Usage, What: fmt.Sprintf("SOURCE_DATE_EPOCH is %q; want seconds since 1970", epoch), Next: nothingPushed}
		}
		o.created = time.Unix(seconds, 0)
	} else if commit := commitPattern.FindString(o.revision); commit != "" {
		if seconds, err := strconv.ParseInt(git.say("show", "--no-patch", "--format=%ct", commit), 10, 64); err == nil {
			o.created = time.Unix(seconds, 0)
		}
	}
	return o, nil
}

// checkout is a directory that Git may know something about.
type checkout struct {
	ctx context.Context
	dir string
}

// run asks Git; the error is what Git says, in one line.
func (c checkout) run(args ...string) (string, error) {
	out, err := exec.CommandContext(c.ctx, "git", append([]string{"-C", c.dir}, args...)...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		said, _, _ := strings.Cut(strings.TrimSpace(string(failed.Stderr)), "\n")
		return "", errors.New("git: " + strings.TrimPrefix(strings.TrimPrefix(said, "fatal: "), "error: "))
	}
	return strings.TrimSpace(string(out)), err
}

// say is run where Git may also know nothing.
func (c checkout) say(args ...string) string {
	out, err := c.run(args...)
	if err != nil {
		return ""
	}
	return out
}

// withoutPassword takes credentials out of a URL: what is published is read by
// others. An SSH user such as git@ is none.
func withoutPassword(source string) (clean string, had bool) {
	u, err := url.Parse(source)
	if err != nil {
		// Passwords are what makes a URL unreadable: whatever stands before the
		// last @ of its authority goes.
		scheme, rest, found := strings.Cut(source, "://")
		authority, path, _ := strings.Cut(rest, "/")
		at := strings.LastIndexByte(authority, '@')
		if !found || at < 0 {
			return source, false
		}
		return scheme + "://" + authority[at+1:] + "/" + path, true
	}
	if u.User == nil || u.Host == "" {
		return source, false
	}
	if _, has := u.User.Password(); !has && u.Scheme != "https" && u.Scheme != "http" {
		return source, false
	}
	u.User = nil
	return u.String(), true
}

// flux is the form of a revision that Flux understands.
func flux(ref, commit string) string {
	if ref == "" {
		return "sha1:" + commit
	}
	return ref + "@sha1:" + commit
}
