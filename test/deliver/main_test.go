// Package delivertest holds the controller of Kustomizations to its promises
// when everything around it goes wrong: killed at any request, refused, cut off
// from its watches, followed by another replica.
//
// In: a running lab, found through SLUICE_LAB. Out: a failing test for each
// promise that is broken; with -v also what things cost and take. A test owns
// its namespaces, and runs controllers that see nothing else. It must never
// rely on how fast the machine is.
//
// SLUICE_KILL_ALL=1 kills at every request instead of at some of them.
package delivertest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
)

// served is the artifact server of all tests.
var served = sync.OnceValue(artifacts.Start)

// Most of a test is waiting: more of them run side by side than there are
// processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = flag.Set(f.Name, "6") // it stays what it is if that fails
	}
	code := m.Run()
	served().Stop()
	os.Exit(code)
}
