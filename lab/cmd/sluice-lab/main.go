// Command sluice-lab runs one part of a lab in the foreground: a Kubernetes
// cluster without containers, or an OCI registry. "sluice up" runs several of them.
package main

import (
	"os"

	"github.com/sluice-dev/sluice/lab/internal/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
