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
	"os"
	"sync"
	"testing"

	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
)

// served is the artifact server of all tests.
var served = sync.OnceValue(artifacts.Start)

func TestMain(m *testing.M) {
	code := m.Run()
	served().Stop()
	os.Exit(code)
}
