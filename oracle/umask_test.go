//go:build unix

package oracle

import (
	"os"
	"syscall"
	"testing"
)

// Flux unpacks under the umask of its container, which then decides what can
// be run; a stricter one here would change its answers.
func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	os.Exit(m.Run())
}
