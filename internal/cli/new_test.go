package cli

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newIn runs `sluice new service` and returns its exit code and what it said.
func newIn(args ...string) (int, string) {
	var out bytes.Buffer
	code := Main(context.Background(), IO{
		Args: append([]string{"new", "service"}, args...), In: strings.NewReader(""), Out: &out, Err: &out,
		Getenv: func(string) string { return "" },
	})
	return code, out.String()
}

// infraCopy is the example with everything it is made of.
func infraCopy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "infra")
}

// A new service fits into the example: after the one change that the command
// asks for, every cluster gets it.
func TestANewServiceIsDelivered(t *testing.T) {
	infra := infraCopy(t)
	bundle := filepath.Join(filepath.Dir(infra), "payments")
	code, said := newIn("payments", "--infra", infra, "--bundle", bundle)
	if code != OK {
		t.Fatalf("exit %d: %s", code, said)
	}
	for _, want := range []string{"- url: oci://${REGISTRY}/datum-cloud/payments-kustomize", "path: ../payments/config", "sluice push oci://REGISTRY/"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	file := filepath.Join(infra, "sluice.yaml")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	added := strings.Replace(string(raw), "sources:\n", "sources:\n- url: oci://${REGISTRY}/datum-cloud/payments-kustomize\n  path: ../payments/config\n", 1)
	if err := os.WriteFile(file, []byte(added), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := openExample(infra)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range e.Clusters {
		d := deliverExample(t, e, c)
		if len(d.built["payments/payments"]) != 2 {
			t.Errorf("%s gets of it: %v", c.Name, d.built["payments/payments"])
		}
		filter := d.sources["payments/payments-kustomize"].Spec.Reference.SemverFilter
		if want := map[string]string{"staging": ".*-staging-test-deploy-.*"}[c.Name]; filter != want {
			t.Errorf("%s takes %q", c.Name, filter)
		}
	}
}

// If one file is in the way, nothing at all is written.
func TestNewOverwritesNothing(t *testing.T) {
	infra := infraCopy(t)
	inTheWay := filepath.Join(infra, "clusters", "production", "apps", "payments.yaml")
	if err := os.WriteFile(inTheWay, []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := content(t, filepath.Dir(infra))
	code, said := newIn("payments", "--infra", infra, "--bundle", filepath.Join(filepath.Dir(infra), "payments"))
	if code != Conflict || !strings.Contains(said, inTheWay+" is there already") {
		t.Errorf("exit %d: %s", code, said)
	}
	if diff := cmp.Diff(before, content(t, filepath.Dir(infra))); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestNewWantsToKnow(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"payments"}, "say where"},
		{[]string{"Pay", "--bundle", "x"}, `"Pay" is no name`},
		{[]string{"../x", "--bundle", "x"}, `"../x" is no name`},
		{nil, "needs an argument NAME"},
	} {
		if code, said := newIn(tc.args...); code != Usage || !strings.Contains(said, tc.want) {
			t.Errorf("%v: exit %d: %s", tc.args, code, said)
		}
	}
}

func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(dir, p))
		files[p] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
