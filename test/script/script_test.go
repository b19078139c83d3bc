// Package script_test types the commands of sluice as users do and compares
// what they print with what is frozen in testdata/*.txtar.
//
// A script starts registries and faults with the commands below, runs sluice
// with "run", and ends with "cmp session want": the session holds every
// command line with its output and exit code. What changes from run to run has
// a name in it: the address of a registry its variable, digests d1, d2 and so
// on in the order of their appearance. "go test ./test/script -update" freezes
// what is printed now.
package script_test

import (
	"context"
	"flag"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sluice-dev/sluice/internal/cli"
)

var update = flag.Bool("update", false, "write the goldens")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sluice": sluice})
}

// sluice is cmd/sluice with a version that does not change.
func sluice() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Main(ctx, cli.IO{
		Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Version: "1.2.3",
	}))
}

func TestScript(t *testing.T) {
	t.Setenv("GOTMPDIR", t.TempDir()) // testscript leaves its directory behind when -run picks a few
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup:              setup,
		Condition: func(name string) (bool, error) {
			return name == "root" && os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run":      run,
			"registry": startRegistry,
			"fault":    setFault,
			"await":    awaitRequest,
			"publish":  publishLayer,
			"untagged": untagged,
			"session":  session,
			"secret":   secret,
			"cluster":  startCluster,
			"apply":    apply,
			"answer":   respond,
		},
	})
}

// A script that does not compare its session proves nothing.
func TestEveryScriptCompares(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(a.Comment), "\ncmp session want\n") {
			t.Errorf("%s does not end with: cmp session want", file)
		}
		if want := a.Files[len(a.Files)-1]; want.Name != "want" || len(want.Data) == 0 {
			t.Errorf("%s has no golden at its end", file)
		}
	}
}

// setup makes a world without the machine it runs on: no Git configuration, no
// repository around the work directory, no resolver, no umask.
func setup(env *testscript.Env) error {
	env.Values[worldKey{}] = &world{digests: map[string]string{}, registries: map[string]*registry{}}
	env.Vars = append(env.Vars,
		"HOME="+filepath.Join(env.WorkDir, ".home"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CEILING_DIRECTORIES="+env.WorkDir,
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_AUTHOR_DATE=2026-11-20T10:15:00Z",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com", "GIT_COMMITTER_DATE=2026-11-20T10:15:00Z",
		"LANG=C", "GODEBUG=netdns=go",
	)
	if env.Getenv("GORACE") == "" {
		env.Setenv("GORACE", "atexit_sleep_ms=10") // else each command takes a second under -race
	}
	return filepath.WalkDir(env.WorkDir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(name, 0o755)
		default:
			return os.Chmod(name, 0o644)
		}
	})
}
