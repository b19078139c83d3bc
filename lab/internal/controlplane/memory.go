package controlplane

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	restingLimit = 320 << 20
	glance       = 3 * time.Second
	settledAfter = 3 // quiet glances
)

// KeepSmall trades some CPU for memory, because a lab runs several clusters
// beside the work itself. It returns when the context ends.
func KeepSmall(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return // the user has decided
	}
	debug.SetGCPercent(percentFor(busyCycles))
	debug.SetMemoryLimit(restingLimit)
	tick := time.NewTicker(glance)
	defer tick.Stop()
	before, quiet := uint64(0), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		live, cycles := heap()
		debug.SetMemoryLimit(limitFor(live))
		debug.SetGCPercent(percentFor(cycles - before))
		if quiet++; cycles-before >= busyCycles {
			quiet = 0
		}
		if quiet == settledAfter {
			debug.FreeOSMemory() // starting, and work, need much that serving does not
		}
		before = cycles
	}
}

// busyCycles of the collector within a glance mean that work is going on.
const busyCycles = 3

// percentFor spends memory while there is work, and gives it back at rest.
func percentFor(cycles uint64) int {
	if cycles >= busyCycles {
		return 50
	}
	return 25
}

// limitFor grows with what is really in use: under a limit near the live heap
// the collector would run without end.
func limitFor(live uint64) int64 { return max(restingLimit, int64(live)*2) }

// heap returns the bytes that were live at the last collection, and how many
// collections there have been.
func heap() (live, cycles uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
