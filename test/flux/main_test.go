// Package fluxtest holds the controller of Kustomizations to what the tests of
// Flux's own controller demand of it (kustomize-controller
// internal/controller/*_test.go), seen from outside.
//
// In: a running lab, found through SLUICE_LAB. Out: a failing test for each
// promise that is broken. A test owns its namespaces and Kustomizations, which
// carry the shard label of the one controller that shall reconcile them. It
// must never rely on how fast the machine is.
//
// SLUICE_TEST_CONTROLLER names another program to hold to these tests: with
// Flux's own kustomize-controller they show that they ask for nothing else than
// Flux does.
package fluxtest

import (
	"os"
	"sync"
	"testing"

	"github.com/sluice-dev/sluice/internal/labtest/artifacts"
)

// shared is what all tests use: one artifact server, and one controller for
// those tests that need no special one.
type shared struct {
	artifacts *artifacts.Server
	engine    *engine
}

// start is called by the first test that needs it.
var start = sync.OnceValues(func() (*shared, error) {
	e, err := startEngine()
	if err != nil {
		return nil, err
	}
	return &shared{artifacts: artifacts.Start(), engine: e}, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("SLUICE_LAB") != "" {
		if s, err := start(); err == nil {
			s.engine.stop()
			s.artifacts.Stop()
		}
	}
	os.Exit(code)
}
