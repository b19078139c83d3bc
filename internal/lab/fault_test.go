package lab_test

import (
	"net/http"
	"testing"

	"github.com/sluice-dev/sluice/internal/lab"
)

// What is held down stays down until it is released, and comes back with its
// data.
func TestHold(t *testing.T) {
	b := newBench(t)
	b.run("up", "--dir", b.dir, "--clusters", "only", "--no-controllers", "--detach")
	registry := "http://" + b.lab().Registry + "/v2/"
	serves := func() bool {
		resp, err := http.Get(registry)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	before := b.pid("registry")
	if err := lab.Hold(b.open(), "registry"); err != nil {
		t.Fatal(err)
	}
	// The supervisor has noticed, and waits.
	b.eventually("the end of the registry is counted", func() bool { return b.state().Restarts["registry"] == 1 })
	if serves() || b.pid("registry") != before {
		t.Error("the registry was started although it is held down")
	}
	if err := lab.Kill(b.open(), "registry"); err == nil {
		t.Error("what is down was killed")
	}
	if err := lab.Release(b.open(), "registry"); err != nil {
		t.Fatal(err)
	}
	b.eventually("the registry is back", serves)
}

// The example is delivered to a lab; a second up finds everything in place.
func TestUpDeliversTheExample(t *testing.T) {
	b := newBench(t)
	for range 2 {
		b.run("up", "--dir", b.dir, "--clusters", "staging", "--detach", "--example", "../../examples/infra")
	}
}
