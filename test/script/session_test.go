package script_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// world is what one script has made.
type world struct {
	digests    map[string]string // as they are → as the session shows them
	registries map[string]*registry
	secrets    []string
	cluster    client.WithWatch
	namespace  string
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// keepSecret makes every command fail the test that prints the password, plain
// or as it is sent and stored.
func (w *world) keepSecret(user, password string) {
	w.secrets = append(w.secrets, password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// secret makes every command fail the test that prints a text.
func secret(ts *testscript.TestScript, _ bool, args []string) {
	worldOf(ts).secrets = append(worldOf(ts).secrets, args...)
}

// run runs a command and adds it to the session. "!" wants an exit code other
// than 0; which one is in the session.
func run(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: run COMMAND ARG...")
	}
	err := ts.Exec(args[0], args[1:]...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", args[0], err)
	}
	if neg != (code != 0) {
		ts.Fatalf("exit code %d", code)
	}
	record(ts, args, code)
}

// session adds a command that was run in the background, after "wait NAME".
func session(ts *testscript.TestScript, _ bool, args []string) { record(ts, args, -1) }

func record(ts *testscript.TestScript, args []string, code int) {
	w := worldOf(ts)
	stdout, stderr := ts.ReadFile("stdout"), passed.ReplaceAllString(ts.ReadFile("stderr"), "")
	for _, secret := range w.secrets {
		if strings.Contains(stdout+stderr, secret) {
			ts.Fatalf("a secret was printed: %s", secret)
		}
	}
	var text strings.Builder
	for i, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " \t*<>|&;\"") {
			args[i] = "'" + arg + "'"
		}
	}
	fmt.Fprintf(&text, "$ %s\n%s", strings.Join(args, " "), ended(stdout))
	if stderr != "" {
		fmt.Fprintf(&text, "[stderr]\n%s", ended(stderr))
	}
	if code > 0 {
		fmt.Fprintf(&text, "[exit %d]\n", code)
	}
	f, err := os.OpenFile(filepath.Join(ts.Getenv("WORK"), "session"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	ts.Check(err)
	_, err = f.WriteString(w.stable(ts, text.String()) + "\n")
	ts.Check(errors.Join(err, f.Close()))
}

func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n[no newline]\n"
}

var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{12,64}`)

// stable replaces what changes from run to run.
func (w *world) stable(ts *testscript.TestScript, text string) string {
	for name, r := range w.registries {
		text = strings.ReplaceAll(text, r.Host(), name)
	}
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	if w.namespace != "" {
		text = stamps.ReplaceAllString(strings.ReplaceAll(text, w.namespace, "test-space"), "TIME")
	}
	for _, secret := range w.secrets {
		text = strings.ReplaceAll(text, secret, "SECRET") // on the command line only
	}
	return digestPattern.ReplaceAllStringFunc(text, func(dgst string) string {
		key := dgst[:len("sha256:")+12]
		if w.digests[key] == "" {
			w.digests[key] = fmt.Sprintf("sha256:d%d", len(w.digests)+1)
		}
		return w.digests[key]
	})
}
